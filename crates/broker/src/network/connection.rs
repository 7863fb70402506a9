//! One client's connection: read a frame, let its API answer, send the answer, and again.
//!
//! Requests of a connection are handled one after the other, so answers leave in the order of the requests, and a
//! client that pipelines has its next frames wait in the socket. A long poll therefore holds up what the same
//! connection sent after it, as it does in Apache Kafka.
//!
//! A client that goes over a quota is muted: it has its answer at once, and for as long as the answer says no further request
//! of it is read (KIP-219).
//!
//! There is one exception to the order. A Produce whose batches are appended and wait for the disk is *parked*: further Produce
//! requests, a bounded number of them, are read and appended meanwhile, so that an idempotent producer's five requests
//! share one flush. Their answers leave in order, too; anything but a Produce waits until all of them have left.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_protocol::api::{self, RequestPrefix};
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::ApiKey;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::broker::Broker;
use crate::handlers::produce::PendingProduce;
use crate::handlers::{self, Api, Refusal, Reply};
use crate::network::drop_behind::{DropBehind, Stale};
use crate::network::frame_reader::{Frame, FrameError, FrameReader};
use crate::network::request::{ConnectionContext, RequestContext, Waited};
use crate::network::send::Sender;
use crate::network::thread_time::ThreadTime;
use crate::quota::{QuotaClient, QuotaKind, Throttle};
use crate::telemetry::{ListenerMetrics, RequestTimes};

/// Requests of one connection that may wait for the disk at a time. The Java client and librdkafka have at most five under
/// way.
const MAX_PARKED: usize = 16;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("closed by the client")]
    ByClient,
    #[error("idle for longer than connections.max.idle.ms")]
    Idle,
    #[error("the broker is shutting down")]
    Shutdown,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("sending failed: {0}")]
    Send(std::io::Error),
}

/// A connection and what it needs to serve its client.
#[derive(Debug)]
pub struct Connection {
    broker: Arc<Broker>,
    stream: TcpStream,
    context: ConnectionContext,
    reader: FrameReader,
    max_idle: Duration,
    metrics: Arc<ListenerMetrics>,
    parked: VecDeque<Parked>,
    /// No request is read before.
    muted_until: Option<Instant>,
    behind: Mutex<DropBehind>,
}

/// A Produce that waits for the disk. It keeps its frame, whose memory is charged until the answer has left.
#[derive(Debug)]
struct Parked {
    pending: Box<PendingProduce>,
    request: Request,
}

/// What is counted of a request once it is answered.
#[derive(Debug)]
struct Request {
    frame: Frame,
    prefix: RequestPrefix,
    api: &'static Api,
    received: Instant,
    local: Duration,
    remote: Duration,
    throttle: Duration,
}

/// What came of a request.
struct Handled {
    reply: Reply,
    client_id: Option<StrBytes>,
    remote: Duration,
    throttle: Duration,
}

impl Connection {
    /// Serve `stream`, which was accepted on `listener`.
    ///
    /// # Errors
    /// When the socket is dead already.
    pub fn new(
        broker: Arc<Broker>,
        stream: TcpStream,
        listener: Arc<str>,
        peer_addr: SocketAddr,
    ) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        let context = ConnectionContext::new(listener, stream.local_addr()?, peer_addr);
        let metrics = broker.telemetry().network.listener(&context.listener);
        metrics.connection_opened();
        let limits = broker.network_limits();
        let socket = SockRef::from(&stream);
        limits
            .send_buffer_bytes
            .map_or(Ok(()), |bytes| socket.set_send_buffer_size(bytes))?;
        limits
            .receive_buffer_bytes
            .map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))?;
        let reader = FrameReader::new(limits.max_request_bytes, limits.request_memory.clone());
        Ok(Self {
            max_idle: limits.max_idle,
            metrics,
            broker,
            stream,
            context,
            reader,
            parked: VecDeque::new(),
            muted_until: None,
            behind: Mutex::default(),
        })
    }

    /// Serve until one side closes.
    pub async fn run(mut self) {
        let closed = self.serve().await;
        let peer = self.context.peer_addr;
        match closed {
            Closed::ByClient | Closed::Idle | Closed::Shutdown => {
                if matches!(closed, Closed::Idle) {
                    self.metrics.idle_connection_closed();
                }
                tracing::debug!(%peer, reason = %closed, "connection closed")
            }
            Closed::Frame(FrameError::Io(_)) | Closed::Send(_) => {
                tracing::debug!(%peer, reason = %closed, "connection lost")
            }
            Closed::Frame(FrameError::Truncated { .. }) => {
                tracing::debug!(%peer, reason = %closed, "connection lost")
            }
            Closed::Frame(FrameError::Length { .. }) | Closed::Refused(_) => {
                tracing::info!(%peer, listener = %self.context.listener, reason = %closed, "connection refused");
            }
        }
    }

    async fn serve(&mut self) -> Closed {
        let closed = match self.serve_requests().await {
            Ok(()) => Closed::Shutdown,
            Err(closed) => closed,
        };
        // What was appended is answered, whatever else has ended the connection.
        match closed {
            Closed::Send(_) => closed,
            _ => self.answer_all_parked().await.err().unwrap_or(closed),
        }
    }

    async fn serve_requests(&mut self) -> Result<(), Closed> {
        let mut idle = std::pin::pin!(tokio::time::sleep(self.max_idle));
        while !self.broker.shutdown().is_requested() {
            let frame = self.next_request(idle.as_mut()).await?;
            self.answer(frame).await?;
        }
        Ok(())
    }

    /// The next frame; parked requests are answered while it does not come.
    async fn next_request(&mut self, mut idle: std::pin::Pin<&mut Sleep>) -> Result<Frame, Closed> {
        while let Some(oldest) = self.parked.front() {
            let flushed = oldest.pending.wait();
            if self.parked.len() < MAX_PARKED && self.muted_until.is_none() {
                tokio::select! {
                    biased;
                    () = flushed.done() => {}
                    frame = self.next_frame(idle.as_mut()) => return frame,
                }
            }
            self.answer_parked().await?;
        }
        if let Some(until) = self.muted_until.take() {
            self.stay_muted(until).await?;
        }
        self.next_frame(idle).await
    }

    /// Read nothing until then. A connection that is muted for longer than it may be idle ends as an idle one.
    async fn stay_muted(&self, until: Instant) -> Result<(), Closed> {
        let idle = Instant::now() + self.max_idle;
        tokio::select! {
            biased;
            () = self.broker.shutdown().requested() => Err(Closed::Shutdown),
            () = tokio::time::sleep_until(until.min(idle)) => match until <= idle {
                true => Ok(()),
                false => Err(Closed::Idle),
            },
        }
    }

    async fn next_frame(&mut self, mut idle: std::pin::Pin<&mut Sleep>) -> Result<Frame, Closed> {
        // The deadline is moved only when it fires, so that a busy connection never touches the timer wheel.
        let waiting_since = Instant::now();
        loop {
            tokio::select! {
                biased;
                frame = self.reader.next(&mut self.stream) => return frame?.ok_or(Closed::ByClient),
                () = self.broker.shutdown().requested() => return Err(Closed::Shutdown),
                () = idle.as_mut() => {
                    let deadline = waiting_since + self.max_idle;
                    if deadline <= Instant::now() {
                        return Err(Closed::Idle);
                    }
                    idle.as_mut().reset(deadline);
                }
            }
        }
    }

    async fn answer(&mut self, frame: Frame) -> Result<(), Closed> {
        let received = Instant::now();
        let prefix = RequestPrefix::read(&frame.bytes).ok_or(Refusal::NoHeader)?;
        let api = handlers::find(prefix)?;
        if api.key != ApiKey::Produce {
            self.answer_all_parked().await?;
        }
        let handled = self.dispatch(api, prefix, &frame).await?;
        let Handled {
            reply,
            client_id,
            remote,
            throttle,
        } = handled;
        if !throttle.is_zero() {
            self.muted_until = Some(Instant::now() + throttle);
        }
        let request = Request {
            frame,
            prefix,
            api,
            received,
            local: received.elapsed().saturating_sub(remote),
            remote,
            throttle,
        };
        match reply {
            Reply::WhenFlushed(pending) => {
                self.broker.telemetry().waiting.produce_begun();
                self.parked.push_back(Parked { pending, request });
            }
            Reply::None => self.count(&request, Instant::now()),
            reply => {
                self.answer_all_parked().await?;
                let handled = Instant::now();
                self.send_within_quota(reply, api, client_id).await?;
                self.count(&request, handled);
            }
        }
        Ok(())
    }

    async fn answer_all_parked(&mut self) -> Result<(), Closed> {
        while !self.parked.is_empty() {
            self.answer_parked().await?;
        }
        Ok(())
    }

    /// Wait for the oldest parked request, and answer it and those behind it that need not wait either, at once.
    async fn answer_parked(&mut self) -> Result<(), Closed> {
        let Some(oldest) = self.parked.front() else {
            return Ok(());
        };
        oldest.pending.wait().done().await;
        let handled = Instant::now();
        let mut answers = Vec::new();
        let mut requests = Vec::new();
        while let Some(parked) = (self.parked).pop_front_if(|next| next.pending.wait().is_done()) {
            self.broker.telemetry().waiting.produces_ended(1);
            let bytes = parked.pending.finish(&self.broker)?;
            let mut request = parked.request;
            request.remote = handled
                .saturating_duration_since(request.received)
                .saturating_sub(request.local);
            requests.push(request);
            answers.push(bytes);
        }
        let answers = match answers.as_slice() {
            [one] => one.clone(),
            several => several.concat().into(),
        };
        self.send(Reply::Bytes(answers))
            .await
            .map_err(Closed::Send)?;
        requests
            .iter()
            .for_each(|request| self.count(request, handled));
        Ok(())
    }

    fn count(&self, request: &Request, handled: Instant) {
        let times = RequestTimes {
            local: request.local,
            remote: request.remote,
            throttle: request.throttle,
            response_send: handled.elapsed(),
            ..RequestTimes::default()
        };
        self.broker.telemetry().requests.request_done(
            request.prefix.api_key,
            request.api.name,
            request.prefix.api_version,
            request.frame.bytes.len(),
            &times,
        );
    }

    /// Send; where the client's time on threads is limited, sending is part of it.
    async fn send_within_quota(
        &self,
        reply: Reply,
        api: &Api,
        client_id: Option<StrBytes>,
    ) -> Result<(), Closed> {
        let quotas = self.broker.quotas();
        if !quotas.is_set(QuotaKind::Request) || handlers::is_exempt(api.key as i16) {
            return self.send(reply).await.map_err(Closed::Send);
        }
        let time = ThreadTime::default();
        let sent = time.of(self.send(reply)).await;
        let client = QuotaClient {
            user: self.context.user(),
            client_id: client_id.as_deref().unwrap_or_default(),
        };
        quotas.record_send(&client, time.total());
        sent.map_err(Closed::Send)
    }

    async fn send(&self, reply: Reply) -> std::io::Result<()> {
        let sender = Sender::new(
            &self.stream,
            self.broker.cold_reads(),
            &self.behind,
            self.max_idle,
        );
        match reply {
            Reply::None | Reply::WhenFlushed(_) => Ok(()),
            Reply::Bytes(bytes) => sender.send_bytes(&bytes).await,
            Reply::Parts(parts) => {
                let sent = sender.send_parts(parts).await?;
                let network = &self.broker.telemetry().network;
                network.bytes_sent_by_sendfile(sent.by_sendfile);
                network.bytes_sent_by_copy(sent.by_copy);
                Ok(())
            }
        }
    }

    async fn dispatch(
        &self,
        api: &Api,
        prefix: RequestPrefix,
        frame: &Frame,
    ) -> Result<Handled, Refusal> {
        let mut body = frame.bytes.clone();
        // The header of a version that is not known cannot be read beyond its fixed part; only ApiVersions gets here so.
        let client_id = if api.serves(prefix.api_version) {
            api::decode_request_header(&mut body)
                .map_err(Refusal::Undecodable)?
                .client_id
        } else {
            None
        };
        let context = RequestContext {
            connection: &self.context,
            client_id,
            correlation_id: prefix.correlation_id,
            size: frame.bytes.len(),
            waited: Waited::default(),
            thread_time: ThreadTime::default(),
            throttle: Throttle::default(),
        };
        let quotas = self.broker.quotas();
        let answer = (api.run)(&self.broker, &context, prefix.api_version, body);
        let reply = match quotas.is_set(QuotaKind::Request) {
            true => context.thread_time.of(answer).await,
            false => answer.await,
        }?;
        let mut throttle = Duration::ZERO;
        if let Some((kind, time)) = context.throttle.mute() {
            throttle = time;
            quotas.throttled(kind, &context.client_of_quotas(), time);
        }
        Ok(Handled {
            reply,
            remote: context.waited.total(),
            client_id: context.client_id,
            throttle,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let waiting = &self.broker.telemetry().waiting;
        waiting.produces_ended(self.parked.len());
        let behind = self
            .behind
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let stale: Vec<_> = behind.finish().collect();
        if !stale.is_empty() {
            tokio::task::spawn_blocking(move || stale.iter().for_each(Stale::drop_pages));
        }
        self.metrics.connection_closed();
    }
}
