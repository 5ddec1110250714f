-- Pays into one account after the other; each request is a command of its own, since the gateway makes a key
-- for one that has none.
local accounts = tonumber(os.getenv("ACCOUNTS"))
local number = 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"amount": "0.01"}'

request = function()
    number = number % accounts + 1
    return wrk.format(nil, string.format("/account/%06d/DepositFunds", number))
end
