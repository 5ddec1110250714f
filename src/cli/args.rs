//! The flags that every command takes, and the settings they make.

use std::path::PathBuf;

use clap::Args;

use crate::settings::{Layers, Settings, SettingsError};

const PROPERTY: &str = "Any property of librdkafka, for example -X security.protocol=SASL_SSL";

/// Flags of every command.
#[derive(Args, Debug, Default)]
pub(super) struct Common {
    /// embedded, embedded:PATH or kafka
    #[arg(long, global = true, value_name = "LOG")]
    log: Option<String>,
    /// Address of the schema registry
    #[arg(long, global = true, value_name = "URL")]
    registry: Option<String>,
    #[arg(long, global = true, value_name = "VIEWS", help = "sqlite:PATH or postgres://USER@HOST/DATABASE")]
    views: Option<String>,
    #[arg(short = 'X', global = true, value_name = "KEY=VALUE", help = PROPERTY)]
    property: Vec<String>,
    /// The settings file, instead of headwater.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// JSON for programs: one object, or one object a line
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[arg(short, long, global = true, help = "Logs more of what happens; RUST_LOG says what in detail")]
    pub(super) verbose: bool,
}

impl Common {
    /// The settings of this invocation.
    pub(super) fn settings(&self) -> Result<Settings, SettingsError> {
        let mut layers = Layers::of_process(self.config.clone());
        for (flag, key, value) in
            [("--log", "log", &self.log), ("--registry", "registry", &self.registry), ("--views", "views", &self.views)]
        {
            if let Some(value) = value {
                layers = layers.flag(flag, key, value);
            }
        }
        for property in &self.property {
            let (name, value) = property.split_once('=').ok_or_else(|| SettingsError::Value {
                origin: "flag -X".to_owned(),
                key: property.clone(),
                problem: "write KEY=VALUE".to_owned(),
            })?;
            layers = layers.flag("-X", &format!("kafka.{name}"), value);
        }
        layers.load()
    }
}
