//! A shop that is served over HTTP, and what asks it.

use std::path::Path;
use std::time::Duration;

use headwater::gateway::Gateway;
use headwater::settings::{HttpSettings, LogSetting, Settings};
use headwater::{App, Connected};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::sample::shop;

/// Far beyond what anything takes; only a hanging test gets there.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A shop that nobody else uses.
pub struct Served {
    pub base: String,
    pub client: Client,
    pub shop: Connected,
    pub gateway: Gateway,
    _folder: Option<TempDir>,
}

/// One more gateway of a shop.
pub struct Beside {
    pub base: String,
    pub gateway: Gateway,
    client: Client,
}

impl Beside {
    pub async fn of(served: &Served) -> Self {
        let gateway = served.shop.serve().await.expect("served");
        Self { base: format!("http://{}", gateway.address()), gateway, client: served.client.clone() }
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base)).timeout(PATIENCE).json(body)
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

/// Settings for a gateway that listens wherever there is room.
pub fn settings(folder: &Path, http: HttpSettings) -> Settings {
    let listen = Some(([127, 0, 0, 1], 0).into());
    let http = HttpSettings { listen, leave_notice: "50ms".parse().expect("a time"), ..http };
    Settings { log: LogSetting::Embedded(folder.to_owned()), http, ..Settings::default() }
}

impl Served {
    /// On an embedded log of its own.
    pub async fn new() -> Self {
        Self::with(HttpSettings::default()).await
    }

    /// The same, with these limits.
    pub async fn with(http: HttpSettings) -> Self {
        Self::of(shop(), http).await
    }

    /// The same of another application.
    pub async fn of(app: App, http: HttpSettings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let served = Self::serve(app, settings(folder.path(), http)).await;
        Self { _folder: Some(folder), ..served }
    }

    /// On the log of these settings.
    pub async fn on(settings: Settings) -> Self {
        Self::serve(shop(), settings).await
    }

    async fn serve(app: App, settings: Settings) -> Self {
        let shop = app.connect(settings).await.expect("connected");
        let gateway = shop.serve().await.expect("served");
        let base = format!("http://{}", gateway.address());
        Self { base, client: Client::new(), shop, gateway, _folder: None }
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base)).timeout(PATIENCE)
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base)).timeout(PATIENCE).json(body)
    }

    pub async fn close(self) {
        self.gateway.stop().await;
        self.shop.close().await.expect("closed");
    }
}

impl Answered {
    pub async fn to(request: RequestBuilder) -> Self {
        Self::of(request.send().await.expect("an answer")).await
    }

    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("text") }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        value.to_str().expect("text")
    }

    /// Holds a problem to the form that RFC 9457 gives it, and to its status and code.
    pub fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["code"], code, "{problem}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
        }
        problem
    }
}
