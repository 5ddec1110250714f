# shellcheck shell=bash disable=SC2154  # home, software, servers are set by deploy/dev
# PostgreSQL: a cluster of our own, made by initdb, apart from the one that Debian's package manages.
# It has no Unix socket, so that a long path of the cache folder cannot break it.

postgres_url() { echo "postgres://headwater:headwater@127.0.0.1:$1/headwater"; }

# The newest installed version, or the one that made the data.
postgres_bin() {
    local version='*' folder
    [[ -f ${1:-}/PG_VERSION ]] && version=$(<"$1/PG_VERSION")
    # shellcheck disable=SC2086  # the version may be a pattern
    folder=$(printf '%s\n' /usr/lib/postgresql/$version/bin/postgres | sort -V | tail -n 1)
    [[ -x $folder ]] && dirname "$folder"
}

# PostgreSQL refuses to run as root.
postgres_user() { if ((EUID == 0)); then echo postgres; else id -un; fi; }

as_postgres() {
    if ((EUID == 0)); then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

postgres_prepare() {
    local data=$1 bin
    bin=$(postgres_bin "$data") ||
        fail "no PostgreSQL $(cat "$data/PG_VERSION" 2>/dev/null) for $data: install it, or run deploy/dev reset"
    if [[ -f $data/PG_VERSION ]]; then
        await_leftovers "$data"
        return
    fi
    rm -rf "$data" "$data.new"
    mkdir -p "$(dirname "$data")"
    install -d -m 700 -o "$(postgres_user)" "$data.new"
    logged postgres-init postgres_initialise "$bin" "$data.new" || fail "could not make a PostgreSQL cluster"
    mv "$data.new" "$data"
}

# After a kill its backends live on for a moment, and a new server refuses to start beside them. It
# refuses too while the killed process is a zombie or its id is somebody else's, so the lock file goes
# once no process works in the data folder: each of PostgreSQL's does.
await_leftovers() {
    local data=$1 deadline=$((SECONDS + 10)) pids
    while pids=$(working_in "$data"); do
        ((SECONDS < deadline)) || fail "processes of an earlier PostgreSQL still use $data: $pids"
        sleep 0.1
    done
    rm -f "$data/postmaster.pid"
}

working_in() {
    local folder pids=()
    for folder in /proc/[0-9]*; do
        if [[ $folder/cwd -ef $1 ]]; then pids+=("${folder#/proc/}"); fi
    done
    ((${#pids[@]})) && echo "${pids[*]}"
}

# Role and database are made in single-user mode, before the server is there for anybody; once it
# is, nobody but that role gets in.
postgres_initialise() {
    local bin=$1 data=$2
    as_postgres "$bin/initdb" -D "$data" -U postgres -E UTF8 --locale=C.UTF-8 -A reject &&
        as_postgres "$bin/postgres" --single -c password_encryption=scram-sha-256 -D "$data" postgres <<'SQL' &&
CREATE ROLE headwater LOGIN CREATEDB PASSWORD 'headwater'
CREATE DATABASE headwater OWNER headwater
SQL
        echo 'host all headwater 127.0.0.1/32 scram-sha-256' >"$data/pg_hba.conf"
}

postgres_launch() {
    local data=$1 port=$2 bin
    bin=$(postgres_bin "$data")
    local as=()
    ((EUID == 0)) && as=(setpriv --reuid=postgres --regid=postgres --init-groups --)
    exec setsid "${as[@]}" "$bin/postgres" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c max_connections=200
}

postgres_answers() {
    local bin
    bin=$(postgres_bin "$(data_of postgres)")
    "$bin/pg_isready" -q -h 127.0.0.1 -p "$1" -t 2 &&
        "$bin/psql" -qAt -c 'SELECT 1' "$(postgres_url "$1")" >/dev/null 2>&1
}
