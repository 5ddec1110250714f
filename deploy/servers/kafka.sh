# shellcheck shell=bash disable=SC2154  # home, software, servers are set by deploy/dev
# Apache Kafka: one KRaft node that listens on the loopback interface only.

kafka_classpath() { echo "$software/kafka/*"; }

kafka_config() { echo "$home/run/kafka.properties"; }

kafka_prepare() {
    local data=$1 port=$2 listeners advertised
    listeners="PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port"
    advertised=$listeners
    # For a test that stands between clients and the broker: whoever comes by one port is sent on to the other.
    if [[ -n ${HEADWATER_DEV_PROXIED_PORT:-} ]]; then
        listeners+=",PROXIED://127.0.0.1:$HEADWATER_DEV_PROXIED_PORT"
        advertised+=",PROXIED://127.0.0.1:$HEADWATER_DEV_PROXY_PORT"
    fi
    mkdir -p "$data"
    {
        cat "$servers/kafka.properties"
        echo "log.dirs=$data"
        echo "listeners=$listeners"
        echo "advertised.listeners=$advertised"
        echo "controller.quorum.voters=1@127.0.0.1:$controller_port"
    } >"$(kafka_config)"
    if [[ ! -f $data/meta.properties ]]; then
        kafka_format "$data"
    else
        kafka_end_session
    fi
}

# A broker that was stopped leads its partitions until its old session is over, even while it starts anew. Then, for a
# moment, nobody leads them; and a transaction whose end Kafka 4.3 is about to write down in them counts as ended
# although that is written nowhere (KAFKA-20734): it holds them for ever. So the controller alone sees that session end,
# before there is a broker that could look after transactions.
kafka_end_session() {
    local config=$home/run/controller.properties log pid deadline=$((SECONDS + start_deadline_s)) active=0
    log=$(log_of kafka-controller)
    {
        grep -v -e '^inter.broker' -e '^advertised' "$(kafka_config)"
        echo "process.roles=controller"
        echo "listeners=CONTROLLER://127.0.0.1:$controller_port"
        echo "broker.session.timeout.ms=500"
    } >"$config"
    say "ending the session that the broker had before"
    (cd / && kafka_run "$config") </dev/null >"$log" 2>&1 9>&- &
    pid=$!
    until grep -qs "Fencing broker 1 " "$log" || ((SECONDS >= deadline)) || ended "$pid"; do
        # It says nothing if the session had ended before.
        if ((!active)) && grep -qs "Becoming the active controller" "$log"; then
            active=1 deadline=$((SECONDS + 5))
        fi
        sleep 0.1
    done
    kill "$pid" 2>/dev/null || true
    wait "$pid" || true
}

kafka_format() {
    local id
    id=$(kafka_storage random-uuid)
    logged kafka-format kafka_storage format --ignore-formatted -t "$id" -c "$(kafka_config)" ||
        fail "could not format $1"
}

kafka_storage() {
    "$(java_command)" -cp "$(kafka_classpath)" -Dlog4j2.level=ERROR kafka.tools.StorageTool "$@"
}

kafka_launch() { kafka_run "$(kafka_config)"; }

kafka_run() {
    # Every partition keeps several files open, and test suites make many partitions.
    ulimit -n 200000 2>/dev/null || ulimit -n "$(ulimit -Hn)"
    exec setsid "$(java_command)" -Xms256m -Xmx1g -XX:+UseParallelGC -Djava.awt.headless=true \
        -Dlog4j2.configurationFile="$servers/log4j2.properties" \
        -cp "$(kafka_classpath)" kafka.Kafka "$1"
}

# Asks for the metadata of the cluster (api 3, version 0, no client id, all topics); the answer is
# length, correlation id and the number of brokers, which is one as soon as the broker serves.
kafka_answers() {
    local answer
    answer=$(
        { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || exit 1
        printf '\x00\x00\x00\x0e\x00\x03\x00\x00\x00\x00\x00\x01\xff\xff\x00\x00\x00\x00' >&3
        timeout 2 head -c 12 <&3 | od -An -v -tx1 | tr -d ' \n'
    )
    [[ ${answer:8} == 0000000100000001 ]]
}
