//! Starting the command, talking to it, and an endpoint for it to call.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const SERVE: [&str; 3] = ["serve", "--addr", "127.0.0.1:0"];

/// How long anything may take before a test has failed.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_academy-hooks"));
    // What the machine has set up for AWS, or for publishing, must play no part.
    let ours = |name: &str| name.starts_with("AWS_") || name.starts_with("ACADEMY_HOOKS_");
    for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    command().args(args).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A running `serve`, killed when it is dropped.
pub(crate) struct Serve {
    child: Child,
    pub(crate) addr: SocketAddr,
    /// What it has printed before it was ready.
    pub(crate) greeting: String,
    rest: Receiver<String>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Serve {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(command().args(SERVE).args(args).stderr(Stdio::piped()))
    }

    /// A start whose API has this address.
    pub(crate) fn at(addr: &str, args: &[&str]) -> Self {
        let mut command = command();
        let command = command.args(["serve", "--addr", addr]).args(args);
        Self::spawn(command.stderr(Stdio::piped()))
    }

    /// A start of which nobody reads the log.
    pub(crate) fn unread(levels: &str, args: &[&str]) -> (Self, ChildStderr) {
        let mut command = command();
        let command = command.args(SERVE).args(args).env("RUST_LOG", levels);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let unread = child.stderr.take().unwrap();
        (Self::ready(child), unread)
    }

    /// A start of which the greeting is read and nothing else: both pipes are closed.
    pub(crate) fn closed(args: &[&str]) -> Self {
        let mut command = command();
        let command = command.args(SERVE).args(args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stderr.take());
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let (greeting, addr) = greeting(|| output.next().unwrap().unwrap());
        Self {
            child,
            addr,
            greeting,
            rest: channel().1,
            log: Arc::default(),
        }
    }

    /// A start at which these levels are logged into a file.
    pub(crate) fn logging(levels: &str, log: File, args: &[&str]) -> Self {
        let mut command = command();
        let command = command.args(SERVE).args(args);
        Self::spawn(command.env("RUST_LOG", levels).stderr(log))
    }

    fn spawn(command: &mut Command) -> Self {
        Self::ready(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    fn ready(mut child: Child) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        if let Some(errors) = child.stderr.take() {
            let lines = log.clone();
            thread::spawn(move || {
                for line in BufReader::new(errors).lines().map_while(Result::ok) {
                    lines.lock().unwrap().push(line);
                }
            });
        }
        let (sender, rest) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let (greeting, addr) = greeting(|| rest.recv_timeout(PATIENCE).unwrap());
        Self {
            child,
            addr,
            greeting,
            rest,
            log,
        }
    }

    /// The delivery ids of the attempts that it has logged.
    pub(crate) fn attempts(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        let attempts = log.iter().filter(|line| line.contains("attempted"));
        let ids = attempts.map(|line| line.split("delivery_id=").nth(1).unwrap());
        ids.map(|rest| rest.split_whitespace().next().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn in_directory(directory: &Path, args: &[&str]) -> Self {
        let data = ["--data", directory.to_str().unwrap()];
        Self::start(&[&data, args].concat())
    }

    /// The token that the greeting shows for a user.
    pub(crate) fn token(&self, username: &str) -> String {
        let mut lines = self.greeting.lines().map(str::split_whitespace);
        let words = lines.find(|words| words.clone().nth(1) == Some(username));
        words.unwrap().nth(2).unwrap().to_owned()
    }

    /// The variables that the greeting exports.
    pub(crate) fn exports(&self) -> HashMap<String, String> {
        let lines = self.greeting.lines().map(str::trim);
        lines
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Runs a command with those variables.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        command().args(args).envs(self.exports()).output().unwrap()
    }

    /// Runs one that has to end well, and returns what it prints.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    /// Calls one of the embedded services as the AWS CLI does.
    pub(crate) fn aws(&self, endpoint: &str, target: &str, request: &Value) -> Value {
        let url = self.exports()[endpoint].clone();
        let addr = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(addr).unwrap();
        let body = request.to_string();
        let length = body.len();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\
             X-Amz-Target: {target}\r\nContent-Type: application/x-amz-json-1.0\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }

    pub(crate) fn call(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
        try_call(self.addr, method, path, token, body).unwrap()
    }

    pub(crate) fn subscribe(&self, token: &str, event: &str, target: &str) -> Value {
        let body = format!(r#"{{"event": "{event}", "target": "{target}"}}"#);
        let (status, hook) = self.call("POST", "/v1/notify/hook/subscribe", token, &body);
        assert_eq!(status, 201, "{hook}");
        hook
    }

    /// Publishes an event and returns the number of its deliveries.
    pub(crate) fn publish(&self, token: &str, event: &str, academy: &str) -> Value {
        let body =
            format!(r#"{{"event": "{event}", "academy": "{academy}", "payload": {{"id": 1}}}}"#);
        let (status, accepted) = self.call("POST", "/v1/notify/event", token, &body);
        assert_eq!(status, 202, "{accepted}");
        accepted["deliveries"].clone()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it prints next.
    pub(crate) fn next_line(&self) -> String {
        self.rest.recv_timeout(PATIENCE).unwrap()
    }

    /// Asks it to stop with a signal, and returns what it says on its way out.
    pub(crate) fn stop(mut self, signal: &str) -> (ExitStatus, String) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        let status = self.child.wait().unwrap();
        let said: Vec<String> = self.rest.iter().collect();
        (status, said.join("\n"))
    }
}

/// What a start prints, line by line, until it is ready; and where its API listens.
fn greeting(mut next: impl FnMut() -> String) -> (String, SocketAddr) {
    let mut greeting = String::new();
    while !greeting.contains("Stop with Ctrl-C") {
        greeting.push_str(&next());
        greeting.push('\n');
    }
    let url = greeting.split("http://").nth(1).unwrap();
    let addr = url.lines().next().unwrap().parse().unwrap();
    (greeting, addr)
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One HTTP request; an error where there is no answer.
pub(crate) fn try_call(
    addr: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> std::io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\
         Authorization: Token {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).ok()?))
    });
    parsed.ok_or_else(|| std::io::Error::other("the answer broke off"))
}

/// Announces a body to a path, and returns the answer that comes before it does.
pub(crate) fn announce(addr: &str, method: &str, path: &str, headers: &str, length: u64) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nExpect: 100-continue\r\n{headers}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Looks again and again until there is something.
pub(crate) fn eventually<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// The same for what may take longer.
pub(crate) fn within<T>(patience: Duration, what: &str, look: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    while Instant::now() < end {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} never came")
}

/// An endpoint that answers each request with a status.
pub(crate) struct Endpoint {
    pub(crate) addr: SocketAddr,
    bodies: Receiver<String>,
}

impl Endpoint {
    pub(crate) fn start(status: u16) -> Self {
        Self::answering(move |_| status)
    }

    /// One whose status depends on the request's body.
    pub(crate) fn answering(status: impl Fn(&str) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, bodies) = channel();
        let status = Arc::new(status);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, status) = (sender.clone(), Arc::clone(&status));
                thread::spawn(move || {
                    if let Some(body) = answer(stream, &*status) {
                        let _ = sender.send(body);
                    }
                });
            }
        });
        Self { addr, bodies }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.addr)
    }

    /// The body of the next request.
    pub(crate) fn next(&self) -> String {
        self.bodies.recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn has_more(&self) -> bool {
        self.bodies.try_recv().is_ok()
    }
}

fn answer(mut stream: TcpStream, status: &dyn Fn(&str) -> u16) -> Option<String> {
    let Request { body, .. } = Request::read(&stream)?;
    let status = status(&body);
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).ok()?;
    Some(body)
}

/// A request as it came in.
pub(crate) struct Request {
    /// Its first line and its headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// Reads the one request of a connection, unless that ends before.
    pub(crate) fn read(stream: impl Read) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                // The connection ended without a request.
                return None;
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            head.push_str(&line);
            head.push('\n');
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body = String::from_utf8(body).ok()?;
        Some(Self { head, body })
    }
}
