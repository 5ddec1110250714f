# shellcheck shell=bash disable=SC2154  # home, software, servers are set by deploy/dev
# Apache Kafka: one KRaft node that listens on the loopback interface only.

kafka_classpath() { echo "$software/kafka/*"; }

kafka_config() { echo "$home/run/kafka.properties"; }

kafka_prepare() {
    local data=$1 port=$2
    mkdir -p "$data"
    {
        cat "$servers/kafka.properties"
        echo "log.dirs=$data"
        echo "listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port"
        echo "advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port"
        echo "controller.quorum.voters=1@127.0.0.1:$controller_port"
    } >"$(kafka_config)"
    [[ -f $data/meta.properties ]] || kafka_format "$data"
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

kafka_launch() {
    # Every partition keeps several files open, and test suites make many partitions.
    ulimit -n 200000 2>/dev/null || ulimit -n "$(ulimit -Hn)"
    exec setsid "$(java_command)" -Xms256m -Xmx1g -XX:+UseParallelGC -Djava.awt.headless=true \
        -Dlog4j2.configurationFile="$servers/log4j2.properties" \
        -cp "$(kafka_classpath)" kafka.Kafka "$(kafka_config)"
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
