//! Whether this broker lives and should get traffic: `/livez` and `/readyz`.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// What a check finds: fine, or what is wrong.
pub type Verdict = Result<(), String>;

type Check = Box<dyn Fn() -> Verdict + Send + Sync>;

/// The checks that must all pass before a broker is ready.
#[derive(Default)]
pub struct Health {
    checks: Mutex<Vec<(&'static str, Check)>>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.results()).finish()
    }
}

impl Health {
    /// Adds a check; it is asked at each request for `/readyz` and must be quick.
    pub fn add(&self, name: &'static str, check: impl Fn() -> Verdict + Send + Sync + 'static) {
        self.checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name, Box::new(check)));
    }

    /// What all checks find now.
    pub fn results(&self) -> Vec<(&'static str, Verdict)> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks
            .iter()
            .map(|(name, check)| (*name, check()))
            .collect()
    }
}

/// Kubernetes' form: a line a check, then the sum.
pub fn verbose(results: &[(&'static str, Verdict)], what: &str) -> String {
    let line = |(name, verdict): &(&str, Verdict)| match verdict {
        Ok(()) => format!("[+]{name} ok\n"),
        Err(reason) => format!("[-]{name} failed: {reason}\n"),
    };
    let all = if results.iter().all(|(_, verdict)| verdict.is_ok()) {
        "passed"
    } else {
        "failed"
    };
    let lines: String = results.iter().map(line).collect();
    format!("{lines}{what} check {all}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_fails_all() {
        let health = Health::default();
        health.add("a", || Ok(()));
        assert_eq!(
            verbose(&health.results(), "readyz"),
            "[+]a ok\nreadyz check passed\n"
        );
        health.add("b", || Err("no".into()));
        assert_eq!(
            verbose(&health.results(), "readyz"),
            "[+]a ok\n[-]b failed: no\nreadyz check failed\n"
        );
    }
}
