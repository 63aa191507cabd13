//! A small HTTP service that runs scripts: the runtime with a sandbox that is not audio.
//!
//! The sandbox is a [rhai](https://rhai.rs) engine with its scope. An engine takes a while to set up, and a script
//! leaves traces in it: variables, changed settings, what it printed. Many requests share few sandboxes, and
//! none of them sees anything of another.
//!
//! ```text
//! cargo run --release --example rhai_service -- 127.0.0.1:9701
//! curl --data 'print(greeting); let x = 6; x * 7' http://127.0.0.1:9701/run
//! cargo run --release --example rhai_service -- --self-test
//! ```

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rhai::{Dynamic, Engine, EvalAltResult, Scope};
use sandpool::net::mini::{MiniOptions, MiniServer};
use sandpool::net::{Handler, Method, Request, Response};
use sandpool::runtime::{AnyError, CheckoutError, Pool, PoolError, PoolOptions, Sandbox};

/// A script that does more than this is stopped: it runs without yielding, so nothing else could stop it.
const MAX_OPERATIONS: u64 = 1_000_000;
/// How deep a script's functions may call each other. Each level takes some 10 KiB of the deep stack.
const MAX_CALL_LEVELS: usize = 16;
/// What a script may print, in bytes.
const MAX_PRINTED: usize = 64 * 1024;

/// An engine, and everything in it that a script can change.
struct ScriptSandbox {
    engine: Engine,
    scope: Scope<'static>,
    /// What the script has printed so far; the engine writes to it.
    printed: Arc<Mutex<String>>,
}

impl ScriptSandbox {
    fn new() -> Self {
        let printed = Arc::new(Mutex::new(String::new()));
        let mut engine = Engine::new();
        engine.set_max_operations(MAX_OPERATIONS);
        engine.set_max_call_levels(MAX_CALL_LEVELS);
        engine.set_max_expr_depths(32, 16);
        engine.set_max_string_size(1 << 20);
        engine.set_max_array_size(1 << 16);
        engine.set_max_map_size(1 << 16);
        let output = Arc::clone(&printed);
        engine.on_print(move |line| {
            let mut output = output.lock();
            if output.len() + line.len() < MAX_PRINTED {
                output.push_str(line);
                output.push('\n');
            }
        });
        // A native function with a bug, to show what becomes of a sandbox in which one panics.
        engine.register_fn("buggy", || -> i64 { panic!("a native function with a bug") });
        Self { engine, scope: template(), printed }
    }

    /// Runs `script`: what it printed, and its value.
    fn run(&mut self, script: &str) -> Result<String, Box<EvalAltResult>> {
        let value = self.engine.eval_with_scope::<Dynamic>(&mut self.scope, script)?;
        Ok(format!("{}= {value}\n", self.printed.lock()))
    }
}

/// The variables that every script starts with. It may change them, for itself.
fn template() -> Scope<'static> {
    let mut scope = Scope::new();
    scope.push("greeting", "hello");
    scope.push_constant("LIMIT", MAX_OPERATIONS as i64);
    scope
}

impl Sandbox for ScriptSandbox {
    /// `scope.rewind` would remove the script's own variables, but leave what it did to the template's.
    fn reset(&mut self) -> Result<(), AnyError> {
        self.scope = template();
        self.printed.lock().clear();
        Ok(())
    }
}

struct Service {
    pool: Pool<ScriptSandbox>,
}

impl Handler for Service {
    fn respond(&self, request: Request) -> Response {
        match (request.method(), request.path()) {
            (Method::Post, "/run") => match std::str::from_utf8(request.body()) {
                Ok(script) => self.run(script),
                Err(error) => Response::text(400, format!("the script is not UTF-8: {error}\n")),
            },
            (Method::Get, "/pool") => match serde_json::to_string(&self.pool.status()) {
                Ok(status) => Response::json(200, status),
                Err(error) => Response::text(500, format!("{error}\n")),
            },
            (_, "/run" | "/pool") => Response::text(405, "POST /run, GET /pool\n"),
            _ => Response::text(404, "POST a script to /run; GET /pool says how the sandboxes are\n"),
        }
    }
}

impl Service {
    fn new(capacity: usize) -> Result<Self, PoolError> {
        let options = PoolOptions::default()
            .name("scripts")
            .capacity(capacity)
            .min_idle(capacity.min(2))
            // Engines intern strings; a fresh one now and then keeps them small.
            .max_uses(10_000);
        let pool = Pool::new(options, || Ok::<_, AnyError>(ScriptSandbox::new()))?;
        Ok(Self { pool })
    }

    fn run(&self, script: &str) -> Response {
        let mut lease = match self.pool.checkout() {
            Ok(lease) => lease,
            Err(error @ CheckoutError::Build { .. }) => return Response::text(500, format!("{error}\n")),
            Err(error) => return Response::text(503, format!("{error}\n")).header("retry-after", "1"),
        };
        // Scripts nest deeply, and never wait: what the deep stack is for. The lease ends with this function,
        // whether the script returned, failed or panicked.
        match lease.enter_deep(|sandbox| sandbox.run(script)) {
            Ok(answer) => Response::text(200, answer),
            Err(error) => Response::text(400, format!("{error}\n")),
        }
    }
}

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9701".into());
    if argument == "--self-test" {
        self_test();
        println!("ok: no script saw anything of another");
        return ExitCode::SUCCESS;
    }
    match serve(&argument) {
        Ok(server) => {
            println!("POST a script to http://{}/run", server.local_addr());
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            eprintln!("{argument}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str) -> Result<MiniServer, AnyError> {
    let address: SocketAddr = address.parse()?;
    Ok(MiniServer::start(address, Service::new(64)?, MiniOptions::default().max_body(64 * 1024))?)
}

/// Asks a service of its own, over real sockets, and panics where an answer is wrong.
pub fn self_test() {
    // One sandbox: whatever one script leaves behind, the next one would find.
    let service = Service::new(1).expect("a sandbox can be built");
    let pool = service.pool.clone();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = MiniServer::start(address, service, MiniOptions::default()).expect("some port is free");
    let address = server.local_addr();
    let is = |script: &str, expected: (u16, &str)| {
        let (status, body) = ask(address, script);
        assert_eq!((status, body.as_str()), expected, "for {script:?}");
    };
    let fails = |script: &str, because: &str| {
        let (status, body) = ask(address, script);
        assert!(status == 400 && body.contains(because), "{status} {body:?} for {script:?}");
    };

    is("let secret = 42; print(`mine: ${secret}`); secret", (200, "mine: 42\n= 42\n"));
    is("is_def_var(\"secret\")", (200, "= false\n"));
    fails("secret + 1", "secret");
    is("greeting = \"changed\"; greeting", (200, "= changed\n"));
    is("greeting", (200, "= hello\n"));
    fails("print(\"before it failed\"); throw 7", "7");
    is("print(\"alone\")", (200, "alone\n= \n"));
    fails("loop { }", "operations");
    fails("fn deeper(n) { deeper(n + 1) } deeper(0)", "overflow");
    is("is_def_fn(\"deeper\", 1)", (200, "= false\n"));
    assert_eq!(pool.status().created, 1, "all of this was one sandbox");

    assert_eq!(ask(address, "let secret = 42; greeting = \"poisoned\"; buggy()").0, 500);
    is("`${greeting} ${is_def_var(\"secret\")}`", (200, "= hello false\n"));
    let status = pool.status();
    assert_eq!((status.created, status.discarded), (2, 1), "the sandbox that panicked was replaced");

    // Many at once in line for the one sandbox, each with a variable of the same name.
    std::thread::scope(|scope| {
        for client in 0..32 {
            scope.spawn(move || {
                let script =
                    format!("let was = is_def_var(\"mine\"); let mine = {client}; `${{was}} ${{mine}}`");
                assert_eq!(ask(address, &script), (200, format!("= false {client}\n")));
            });
        }
    });
    assert_eq!((pool.status().leased, pool.status().waiting), (0, 0));
}

/// Posts a script: the status and the body of the answer.
fn ask(address: SocketAddr, script: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the service accepts");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out can be set");
    let request =
        format!("POST /run HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{script}", script.len());
    stream.write_all(request.as_bytes()).expect("the service reads");
    let mut answer = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).expect("the service answers");
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
            });
            if body.len() >= length.expect("the answer says how long it is") {
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return (status.expect("the answer has a status"), body.to_owned());
            }
        }
        assert!(read > 0, "the answer was cut off: {text:?}");
    }
}
