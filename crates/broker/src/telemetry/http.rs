//! The HTTP listener: metrics, health and what this broker is. Read-only, and bound to loopback unless configured.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | Prometheus text; `?scope=broker` leaves out what has a series a partition |
//! | `/livez` | 200 while the process runs |
//! | `/readyz`, `/healthz` | 200 when it should get traffic, else 503; `?verbose` lists the checks |
//! | `/version` | JSON |
//! | `/config` | every key with its value and where it was set; secrets are hidden |
//! | `/` | a page for people |
//!
//! Connections, header sizes and waiting times are bounded; bodies of requests are not read.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Telemetry, health};
use crate::config::{BrokerConfig, Endpoint, docs};
use crate::shutdown::Shutdown;
use crate::version;

/// Connections served at once; further ones wait in the accept queue.
const MAX_CONNECTIONS: usize = 64;
/// Largest head of a request, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// How long a client may take to send a head, or to send the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after a failed accept, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound listener that does not serve yet.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
}

/// What the answers are made of.
#[derive(Clone)]
pub struct HttpContext {
    /// Counters and health.
    pub telemetry: Arc<Telemetry>,
    /// The configuration the broker was started with.
    pub config: Arc<BrokerConfig>,
}

impl HttpServer {
    /// Binds the address of `ottla.http.listener`.
    pub async fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        let host = if endpoint.host.is_empty() {
            "0.0.0.0"
        } else {
            endpoint.host.as_str()
        };
        Ok(Self {
            listener: TcpListener::bind((host, endpoint.port)).await?,
        })
    }

    /// The address that was bound, with the port that was chosen.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` is requested; connections under way are cut off.
    pub async fn serve(self, context: HttpContext, shutdown: Shutdown) {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = shutdown.requested() => return,
                accepted = self.accept(&permits) => accepted,
            };
            let Some((stream, permit)) = accepted else {
                continue;
            };
            let (context, shutdown) = (context.clone(), shutdown.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = shutdown.requested() => {}
                    () = serve_connection(stream, context) => {}
                }
                drop(permit);
            });
        }
    }

    async fn accept(
        &self,
        permits: &Arc<Semaphore>,
    ) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _)) => Some((stream, permit)),
            Err(error) => {
                tracing::warn!(%error, "HTTP: cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// What a client does wrong ends its connection and nothing else.
async fn serve_connection(stream: TcpStream, context: HttpContext) {
    let service = service_fn(move |request: Request<Incoming>| {
        let context = context.clone();
        async move { Ok::<_, Infallible>(answer(&context, &request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "HTTP connection ended");
    }
}

async fn answer(context: &HttpContext, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let has = |parameter: &str| {
        request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(|part| part == parameter))
    };
    match request.uri().path() {
        "/metrics" => metrics(context, !has("scope=broker")).await,
        "/livez" => text(StatusCode::OK, "ok\n"),
        path @ ("/readyz" | "/healthz") => {
            ready(context, &path[1..], has("verbose") || has("verbose=true"))
        }
        "/version" => content(StatusCode::OK, "application/json", version::json()),
        "/config" => text(StatusCode::OK, docs::effective(&context.config)),
        "/" => content(
            StatusCode::OK,
            "text/html; charset=utf-8",
            status_page(context),
        ),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /metrics /livez /readyz /healthz /version /config\n",
        ),
    }
}

/// Rendered off the runtime: with thousands of partitions it takes many milliseconds.
async fn metrics(context: &HttpContext, partitions: bool) -> Response<Full<Bytes>> {
    let telemetry = Arc::clone(&context.telemetry);
    match tokio::task::spawn_blocking(move || telemetry.render(partitions)).await {
        Ok(page) => content(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            page,
        ),
        Err(error) => {
            tracing::error!(%error, "metrics could not be collected");
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics could not be collected; see the log\n",
            )
        }
    }
}

fn ready(context: &HttpContext, what: &str, is_verbose: bool) -> Response<Full<Bytes>> {
    let running = if context.telemetry.is_running() {
        Ok(())
    } else {
        Err("the broker is not running".to_owned())
    };
    let mut results = vec![("broker", running)];
    results.extend(context.telemetry.health.results());
    let is_ready = results.iter().all(|(_, verdict)| verdict.is_ok());
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if is_ready && !is_verbose {
        text(status, "ok\n")
    } else {
        text(status, health::verbose(&results, what))
    }
}

fn status_page(context: &HttpContext) -> String {
    let state = if context.telemetry.is_running() {
        "running"
    } else {
        "not running"
    };
    let listeners: Vec<_> = context
        .config
        .listeners
        .all
        .iter()
        .map(|l| format!("{}://{}", l.name, l.endpoint))
        .collect();
    include_str!("http/status.html")
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{node}", &context.config.node.node_id.to_string())
        .replace("{state}", state)
        .replace("{listeners}", &escape(&listeners.join(", ")))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    content(status, "text/plain; charset=utf-8", body)
}

fn content(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
