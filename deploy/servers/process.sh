# shellcheck shell=bash disable=SC2154  # home, software, servers are set by deploy/dev
# Starting, finding and ending a server by its process id.
#
# run/NAME holds "PID PORT" of the last start. The id may belong to somebody else by now, so that it
# counts only while the process's command line names our folders.

start_deadline_s=120
stop_deadline_s=30

log_of() { echo "$home/log/$1.log"; }

# Where the data lives. A root user's home is closed to the unprivileged user that PostgreSQL has to
# run as; then its data, and nothing else, lies under /var/lib.
data_of() {
    if [[ $1 == postgres && $EUID -eq 0 ]] && ! reachable_by_postgres; then
        echo "/var/lib/headwater-dev/$(sha256sum <<<"$home" | cut -c 1-12)/postgres"
    else
        echo "$home/data/$1"
    fi
}

reachable_by_postgres() {
    local folder=$home/data
    until [[ -d $folder ]]; do folder=$(dirname "$folder"); done
    as_postgres test -x "$folder" 2>/dev/null
}

configured_port() {
    case $1 in
        kafka) echo "${HEADWATER_DEV_KAFKA_PORT:-19092}" ;;
        registry) echo "${HEADWATER_DEV_REGISTRY_PORT:-18081}" ;;
        postgres) echo "${HEADWATER_DEV_POSTGRES_PORT:-15432}" ;;
    esac
}

port_variable() { echo "HEADWATER_DEV_${1^^}_PORT"; }

# The port it listens on, or would.
port_of() {
    if running "$1"; then cut -d ' ' -f 2 "$home/run/$1"; else configured_port "$1"; fi
}

# The id of the running server; fails if there is none.
pid_of() {
    local pid command
    pid=$(recorded_pid "$1") || return 1
    command=$(command_line "$pid")
    [[ $command == *"$(mark_of "$1")"* ]] && echo "$pid"
}

recorded_pid() { [[ -f $home/run/$1 ]] && cut -d ' ' -f 1 "$home/run/$1"; }

# Empty for a process that has ended or is about to.
command_line() { { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || true; }

# Gone, or a zombie that nobody has waited for: only then are all its files and ports closed.
ended() {
    local threads=("/proc/$1/task"/*)
    [[ ! -d /proc/$1 ]] || { ((${#threads[@]} == 1)) && grep -qs '^State:.*[ZX] (' "/proc/$1/status"; }
}

# A server that was killed a moment ago may still hold its port.
await_ending() {
    local pid deadline=$((SECONDS + stop_deadline_s))
    pid=$(recorded_pid "$1") || return 0
    until ended "$pid" || [[ -n $(command_line "$pid") ]]; do
        ((SECONDS < deadline)) || fail "$1, pid $pid, does not end"
        sleep 0.1
    done
}

# What only this server's command line contains.
mark_of() {
    case $1 in
        kafka) echo "kafka.Kafka $(kafka_config)" ;;
        *) data_of "$1" ;;
    esac
}

running() { pid_of "$1" >/dev/null; }

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A server that is up keeps its port; one that is to be started must find its port free.
require_port() {
    local variable
    variable=$(port_variable "$1")
    await_ending "$1"
    if ! running "$1"; then
        require_free "$(configured_port "$1")" "$variable" "$1"
        [[ $1 != kafka ]] || require_free "$controller_port" "$(port_variable controller)" "Kafka's controller"
    elif [[ ${!variable:-$(port_of "$1")} != "$(port_of "$1")" ]]; then
        fail "$1 is up on port $(port_of "$1"), but $variable is ${!variable}: unset it, or run deploy/dev down first"
    fi
}

require_free() {
    if listening "$1"; then
        fail "port $1, meant for $3, is taken by something else: set $2 to a free port"
    fi
}

start() {
    local name=$1 port data log
    port=$(configured_port "$name")
    data=$(data_of "$name")
    log=$(log_of "$name")
    "${name}_prepare" "$data" "$port"
    if [[ -f $log ]]; then mv -f "$log" "$log.1"; fi
    say "starting $name on port $port"
    (cd / && "${name}_launch" "$data" "$port") </dev/null >"$log" 2>&1 9>&- &
    echo "$! $port" >"$home/run/$name"
}

await() {
    local name=$1 port pid deadline=$((SECONDS + start_deadline_s))
    read -r pid port <"$home/run/$name"
    until "${name}_answers" "$port"; do
        ! ended "$pid" || give_up "$name" "$name ended instead of starting"
        if ((SECONDS >= deadline)); then
            stop "$name"
            give_up "$name" "$name did not answer on port $port within $start_deadline_s s"
        fi
        sleep 0.2
    done
    say "$name is up on port $port, pid $pid"
}

give_up() {
    tail -n 40 "$(log_of "$1")" >&2
    fail "$2; the end of $(log_of "$1") is above"
}

stop() {
    local name
    for name in "$@"; do stop_one "$name"; done
}

stop_one() {
    local name=$1 pid deadline=$((SECONDS + stop_deadline_s))
    if pid=$(pid_of "$name"); then
        say "stopping $name, pid $pid"
        # PostgreSQL takes TERM as "when the last client has left".
        kill -"$([[ $name == postgres ]] && echo INT || echo TERM)" "$pid" 2>/dev/null || true
        until ended "$pid"; do
            if ((SECONDS >= deadline)) && running "$name"; then kill -KILL "$pid" 2>/dev/null || true; fi
            sleep 0.1
        done
    fi
    rm -f "$home/run/$name"
}
