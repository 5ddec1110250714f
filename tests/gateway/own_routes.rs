//! Routes of an application: within the same bounds as the engine's, with problems for errors.

use headwater::App;
use headwater::gateway::http::StatusCode;
use headwater::gateway::{Json, Path, Problem, Router, UrlQuery, get, post};
use headwater::query::{Query, QueryError, Rows};
use headwater::settings::HttpSettings;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::sample::{Takings, shop};
use crate::served::{Answered, PATIENCE, Served};

#[derive(Debug, Serialize, Deserialize)]
struct Greeting {
    name: String,
    times: u8,
}

/// A query whose SQL is wrong.
#[derive(Debug, Deserialize)]
struct Broken {}

impl Query for Broken {
    const NAME: &'static str = "Broken";
    type Answer = i64;
    type Reads = Takings;

    async fn ask(self, rows: &mut Rows<'_>) -> Result<Option<i64>, QueryError> {
        rows.one("SELECT secret FROM tills", ()).await
    }
}

fn application() -> App {
    let routes = |_| {
        Router::new()
            .route("/greet/{times}", get(async |Path(times): Path<u8>| times.to_string()))
            .route("/page", get(async |UrlQuery(greeting): UrlQuery<Greeting>| Json(greeting)))
            .route("/greet", post(async |Json(greeting): Json<Greeting>| Json(greeting)))
            .route("/text", post(async |text: String| text))
            .route("/bare", get(async || StatusCode::NOT_FOUND))
            .route("/teapot", get(async || (StatusCode::IM_A_TEAPOT, "short and stout")))
            .route("/fault", get(async || (StatusCode::INTERNAL_SERVER_ERROR, "the password is 1234")))
            .route("/panic", get(panicking))
            .route("/never", get(async || std::future::pending::<()>().await))
    };
    shop().query::<Broken>().routes(routes)
}

async fn panicking() -> Result<String, Problem> {
    panic!("the password is 1234")
}

async fn served() -> Served {
    Served::of(application(), HttpSettings { body_bytes: 100, ..HttpSettings::default() }).await
}

#[tokio::test]
async fn what_the_library_itself_turns_away_is_a_problem_with_the_reason() {
    let shop = served().await;
    let path = Answered::to(shop.get("/greet/often")).await.is_problem(400, "bad_input");
    assert!(path["detail"].as_str().is_some_and(|it| it.contains("often")), "{path}");
    let query = Answered::to(shop.get("/page?name=a&times=1000")).await.is_problem(400, "bad_input");
    assert!(query["detail"].as_str().is_some_and(|it| it.contains("times")), "{query}");
    let bare = Answered::to(shop.get("/bare")).await.is_problem(404, "not_found");
    assert_eq!(bare["detail"], "Not Found");
    let teapot = Answered::to(shop.get("/teapot")).await.is_problem(418, "bad_input");
    assert_eq!(teapot["detail"], "short and stout");
    Answered::to(shop.post("/page", &json!({}))).await.is_problem(405, "method_not_allowed");
    shop.close().await;
}

#[tokio::test]
async fn json_that_is_wrong_is_named_to_the_field() {
    let shop = served().await;
    let greet = |body: &'static str| {
        let request = shop.client.post(format!("{}/greet", shop.base)).timeout(PATIENCE).body(body);
        Answered::to(request.header("content-type", "application/json"))
    };
    assert_eq!(greet(r#"{"name": "Ann", "times": 3}"#).await.json(), json!({"name": "Ann", "times": 3}));
    for (body, pointer) in [
        (r#"{"name": "Ann", "times": 300}"#, json!("/times")),
        (r#"{"name": 1, "times": 3}"#, json!("/name")),
        (r#"{"name": "Ann"}"#, json!("")),
        (r#"{"name": "Ann", "times": 3} {}"#, json!(null)),
    ] {
        assert_eq!(greet(body).await.is_problem(400, "bad_input")["pointer"], pointer, "{body}");
    }
    let text = shop.client.post(format!("{}/greet", shop.base)).body("{}");
    Answered::to(text).await.is_problem(415, "unsupported_media_type");
    shop.close().await;
}

#[tokio::test]
async fn bodies_are_bounded_whatever_a_route_makes_of_them() {
    let shop = served().await;
    let text = |length: usize| Answered::to(shop.client.post(format!("{}/text", shop.base)).body("x".repeat(length)));
    assert_eq!(text(100).await.text.len(), 100);
    text(101).await.is_problem(413, "too_large");
    let shop = {
        shop.close().await;
        served().await
    };
    let bytes = crate::raw::request("POST", "/text", &[("transfer-encoding", "chunked")], b"65\r\n");
    let bytes = [bytes, vec![b'x'; 101], b"\r\n0\r\n\r\n".to_vec()].concat();
    let address = shop.gateway.address().to_string();
    let answer = tokio::task::spawn_blocking(move || crate::raw::exchange(&address, &bytes)).await.expect("read");
    assert_eq!(crate::raw::status(&answer), 413, "{answer}");
    shop.close().await;
}

#[tokio::test]
async fn a_panic_or_a_fault_ends_one_request_and_its_reason_is_for_the_log_alone() {
    let shop = served().await;
    for path in ["/panic", "/fault", "/queries/Broken"] {
        let answered = Answered::to(shop.get(path)).await;
        answered.is_problem(500, "internal");
        assert!(!answered.text.contains("password") && !answered.text.contains("secret"), "{answered:?}");
        assert_eq!(answered.header("x-request-id").len(), 36);
    }
    assert_eq!(Answered::to(shop.get("/queries/AllTills")).await.status, 200);
    shop.close().await;
}

#[tokio::test]
async fn a_route_that_does_not_end_is_given_up() {
    let short = "100ms".parse().expect("a time");
    let http = HttpSettings { longest_wait: short, transfer_timeout: short, wait: short, ..HttpSettings::default() };
    let shop = Served::of(application(), http).await;
    Answered::to(shop.get("/never")).await.is_problem(504, "request_timeout");
    shop.close().await;
}
