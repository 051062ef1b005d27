//! A running `odi-sign import --watch`, and what it says, line by line.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::maintainer::Maintainer;

/// Only a failure waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Watched {
    child: Child,
    heads: Receiver<String>,
    words: Receiver<String>,
}

impl Watched {
    pub(crate) fn start(m: &Maintainer, arguments: &[&str]) -> Self {
        let mut command = m.command(&["import", "TREE", "--key", "REL", "--watch", "--json"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let heads = lines(child.stdout.take().unwrap());
        let words = lines(child.stderr.take().unwrap());
        Self { child, heads, words }
    }

    /// The next head that it publishes.
    pub(crate) fn head(&mut self) -> Value {
        match self.heads.recv_timeout(PATIENCE) {
            Ok(line) => serde_json::from_str(&line).unwrap(),
            Err(error) => {
                panic!("{error}: no head, but: {:?}", self.words.try_iter().collect::<Vec<_>>())
            }
        }
    }

    /// Waits until it says something on standard error.
    pub(crate) fn says(&mut self, expected: &str) {
        while !self.words.recv_timeout(PATIENCE).expect(expected).contains(expected) {}
    }

    /// Ends as a service manager ends it, with everything that it published told.
    pub(crate) fn ends(mut self) {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success() && self.child.wait().unwrap().success());
        self.says("ended; nothing was left half done");
        assert_eq!(self.heads.iter().collect::<Vec<_>>(), Vec::<String>::new());
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // A failed test leaves it running otherwise.
        let _ = self.child.kill();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
