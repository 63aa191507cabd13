//! The application that the listeners call.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::echo::Echo;
use super::error::Refusal;
use super::routes;
use crate::config::ServerConfig;
use crate::net::http::{Method, Request, Response};
use crate::net::{
    App, Closed, Endpoint, Flow, FrontHandle, FrontStatus, Handler, Message, Outbox, RouteLimits,
};
use crate::observe::{Health, RequestCounts, Unready};
use crate::runtime::watchdog::Watchdog;
use crate::runtime::Pool;
use crate::session::{Session, SessionHub, Spurt};

/// What every request can reach.
pub(super) struct State {
    pub(super) config: ServerConfig,
    pub(super) pool: Pool<sandbox::AudioSandbox>,
    pub(super) watchdog: Watchdog,
    pub(super) sessions: Arc<SessionHub>,
    pub(super) health: Health,
    pub(super) requests: RequestCounts,
    pub(super) started: Instant,
    /// Set once the public listener is open.
    pub(super) front: OnceLock<FrontHandle>,
}

impl State {
    /// Everything that speaks against sending traffic now.
    pub(super) fn unready(&self) -> Vec<Unready> {
        self.health.unready(self.pool.status().closed, self.watchdog.stalled())
    }

    /// The public listener's figures.
    pub(super) fn front_status(&self) -> FrontStatus {
        self.front.get().map(FrontHandle::status).unwrap_or_default()
    }
}

/// The server's HTTP and WebSocket application.
#[derive(Clone)]
pub(super) struct AudioApp(pub(super) Arc<State>);

impl Handler for AudioApp {
    fn respond(&self, request: Request) -> Response {
        let response = routes::respond(&self.0, request);
        self.0.requests.answered(response.status());
        response
    }
}

impl App for AudioApp {
    type Socket = Socket;

    fn upgrade(&self, request: &Request) -> Result<Socket, Response> {
        match request.path() {
            "/" => Ok(Socket::Audio(Box::new(Session::new(Arc::clone(&self.0.sessions))))),
            "/echo" => Ok(Socket::Echo(Echo)),
            _ => Err(Refusal::NotFound.into()),
        }
    }

    fn route_limits(&self, method: &Method, path: &str) -> RouteLimits {
        routes::limits(&self.0.config, method, path)
    }
}

/// What speaks on an upgraded connection.
pub(super) enum Socket {
    Audio(Box<Session>),
    Echo(Echo),
}

impl Endpoint for Socket {
    type Held = Spurt;

    fn max_message(&self) -> usize {
        match self {
            Self::Audio(session) => session.max_message(),
            Self::Echo(echo) => echo.max_message(),
        }
    }

    fn open(&mut self, out: &mut Outbox) {
        match self {
            Self::Audio(session) => session.open(out),
            Self::Echo(echo) => echo.open(out),
        }
    }

    fn message(&mut self, message: Message, spurt: &mut Spurt, out: &mut Outbox) -> Flow {
        match self {
            Self::Audio(session) => session.message(message, spurt, out),
            Self::Echo(echo) => echo.message(message, &mut (), out),
        }
    }

    fn must_stay(&self, spurt: &Spurt) -> bool {
        match self {
            Self::Audio(session) => session.must_stay(spurt),
            Self::Echo(echo) => echo.must_stay(&()),
        }
    }

    fn next_deadline(&self, spurt: &Spurt) -> Option<Instant> {
        match self {
            Self::Audio(session) => session.next_deadline(spurt),
            Self::Echo(echo) => echo.next_deadline(&()),
        }
    }

    fn on_deadline(&mut self, now: Instant, spurt: &mut Spurt, out: &mut Outbox) -> Flow {
        match self {
            Self::Audio(session) => session.on_deadline(now, spurt, out),
            Self::Echo(echo) => echo.on_deadline(now, &mut (), out),
        }
    }

    fn closed(&mut self, why: Closed) {
        match self {
            Self::Audio(session) => session.closed(why),
            Self::Echo(echo) => echo.closed(why),
        }
    }
}
