//! Real servers, and the part of them that belongs to one test.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::Runtime;

use super::world::variable;

const WAIT: std::time::Duration = std::time::Duration::from_secs(20);

/// Real servers. The topics of the test's application and its database go when this is dropped.
pub struct Servers {
    /// The brokers.
    pub kafka: String,
    /// The schema registry.
    pub registry: String,
    /// The application's name, which nobody else has.
    pub app: String,
    views: String,
}

impl Servers {
    /// The servers that the environment names; `None` if it does not name them all.
    pub fn from_environment() -> Option<Self> {
        let named = |name: &str| std::env::var(name).ok();
        let found = (named("HEADWATER_TEST_KAFKA"), named("HEADWATER_TEST_REGISTRY"), named("HEADWATER_TEST_VIEWS"));
        let (Some(kafka), Some(registry), Some(views)) = found else {
            assert!(
                named("HEADWATER_TEST_REQUIRE").is_none(),
                "HEADWATER_TEST_KAFKA, _REGISTRY and _VIEWS are required"
            );
            eprintln!(
                "skipped: HEADWATER_TEST_KAFKA, HEADWATER_TEST_REGISTRY and HEADWATER_TEST_VIEWS are not all set"
            );
            return None;
        };
        let unique = headwater::clock::new_id().simple().to_string();
        let servers = Self { kafka, registry, views, app: format!("bank_{unique}") };
        servers.in_database(&format!("CREATE DATABASE {}", servers.app));
        Some(servers)
    }

    /// The settings that point the test's application at them.
    pub fn settings(&self) -> Vec<(String, String)> {
        vec![
            variable("HEADWATER_APP", &self.app),
            variable("HEADWATER_LOG", "kafka"),
            variable("HEADWATER_KAFKA__BOOTSTRAP_SERVERS", &self.kafka),
            variable("HEADWATER_REGISTRY", &self.registry),
            variable("HEADWATER_VIEWS", &self.views()),
        ]
    }

    /// The test's own database.
    pub fn views(&self) -> String {
        let server = self.views.rsplit_once('/').expect("the views' address ends in a database").0;
        format!("{server}/{}", self.app)
    }

    fn in_database(&self, statement: &str) {
        let work = async {
            let mut connection = PgConnection::connect(&self.views).await?;
            connection.execute(sqlx::AssertSqlSafe(statement)).await?;
            connection.close().await
        };
        let done = Runtime::new().expect("a runtime").block_on(work);
        done.unwrap_or_else(|error: sqlx::Error| panic!("{statement}: {error}"));
    }

    fn delete_topics(&self) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka);
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let metadata = consumer.fetch_metadata(None, WAIT).expect("the cluster's topics");
        let prefix = format!("{}.", self.app);
        let topics: Vec<&str> = metadata
            .topics()
            .iter()
            .map(rdkafka::metadata::MetadataTopic::name)
            .filter(|name| name.starts_with(&prefix))
            .collect();
        let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin client");
        let deleted = admin.delete_topics(&topics, &AdminOptions::new().operation_timeout(Some(WAIT)));
        Runtime::new().expect("a runtime").block_on(deleted).expect("topics are deleted");
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // After a failure all stays, to be looked at.
        if !std::thread::panicking() {
            self.delete_topics();
            self.in_database(&format!("DROP DATABASE {} WITH (FORCE)", self.app));
        }
    }
}
