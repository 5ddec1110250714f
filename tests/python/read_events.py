"""Reads a topic of events as any Avro consumer of the ecosystem would, and prints one JSON object a line.

It knows nothing of the engine: only the topic, the brokers and the schema registry. It reads committed
records from the beginning up to the end of this moment.

Usage: read_events.py BOOTSTRAP_SERVERS REGISTRY_URL TOPIC
"""

import datetime
import json
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

PATIENCE_SECONDS = 30


def main(bootstrap_servers, registry_url, topic):
    registry = SchemaRegistryClient({"url": registry_url})
    # The name of the record tells which event of the union it is.
    deserialize = AvroDeserializer(registry, return_record_name=True)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "read_events.py",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        unread = assign_all(consumer, topic)
        while unread:
            message = consumer.poll(PATIENCE_SECONDS)
            if message is None:
                sys.exit(f"{topic}: nothing came for {PATIENCE_SECONDS} s, partitions {sorted(unread)} are not read")
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(message.error())
                unread.discard(message.partition())
                continue
            print(json.dumps(read(message, deserialize), default=as_text, ensure_ascii=False))
    finally:
        consumer.close()


def assign_all(consumer, topic):
    partitions = consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    return set(partitions)


def read(message, deserialize):
    event = deserialize(message.value(), SerializationContext(message.topic(), MessageField.VALUE))
    kind, data = event["data"]
    return {**event, "key": message.key().decode(), "partition": message.partition(), "kind": kind, "data": data}


def as_text(value):
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return str(value)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
