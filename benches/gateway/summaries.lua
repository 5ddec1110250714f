-- Asks for one account after the other.
local accounts = tonumber(os.getenv("ACCOUNTS"))
local number = 0

request = function()
    number = number % accounts + 1
    return wrk.format(nil, string.format("/queries/AccountSummary?account_id=%06d", number))
end
