//! The names of the client library's properties, all of which pass through `kafka`.

use crate::log::kafka::OWNED_PROPERTIES;

/// Every property that the client library takes as text, from its `CONFIGURATION.md`, one a line.
const PROPERTIES: &str = include_str!("librdkafka.properties.txt");

/// What a name below `kafka` stands for.
pub(super) enum KafkaKey {
    BootstrapServers,
    Property(String),
    /// The engine sets this one; with the reason.
    Owned(&'static str),
    Unknown,
}

impl KafkaKey {
    /// Names are those of the client library, with dots, or with `_` in their place as in the
    /// environment.
    pub(super) fn find(name: &str) -> Self {
        let dotted = name.replace('_', ".");
        if matches!(dotted.as_str(), "bootstrap.servers" | "metadata.broker.list") {
            return Self::BootstrapServers;
        }
        if let Some((_, reason)) = OWNED_PROPERTIES.iter().find(|(owned, _)| *owned == dotted) {
            return Self::Owned(reason);
        }
        match Self::names().find(|known| *known == name || *known == dotted) {
            Some(known) => Self::Property(known.to_owned()),
            None => Self::Unknown,
        }
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        PROPERTIES.lines()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_found_with_dots_and_with_underscores() {
        for name in ["security.protocol", "security_protocol"] {
            assert!(matches!(KafkaKey::find(name), KafkaKey::Property(found) if found == "security.protocol"));
        }
        assert!(matches!(KafkaKey::find("bootstrap.servers"), KafkaKey::BootstrapServers));
        assert!(matches!(KafkaKey::find("security.protocl"), KafkaKey::Unknown));
    }

    #[test]
    fn what_the_engine_rests_on_cannot_be_set() {
        for (name, _) in OWNED_PROPERTIES {
            assert!(!matches!(KafkaKey::find(name), KafkaKey::Property(_)), "{name}");
            assert!(KafkaKey::names().any(|known| known == name), "{name} is no property");
        }
    }
}
