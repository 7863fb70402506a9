//! Values that stand elsewhere (KIP-297): `${file:path:key}`, `${env:NAME}` and `${dir:path:file}`.
//!
//! They may stand anywhere in a value and need no `config.providers`. What they yield is not looked at again.

use std::io;
use std::path::Path;

use ottla_storage::properties;

/// Where the providers look.
pub struct Lookup<'a> {
    /// A variable of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The bytes of a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

/// `text` with its references replaced, or what could not be found.
pub fn resolve(text: &str, lookup: &Lookup<'_>) -> Result<String, String> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        let reference = &rest[start + 2..start + length];
        resolved.push_str(&rest[..start]);
        match reference.split_once(':') {
            Some((provider, what)) => resolved.push_str(&look_up(provider, what, lookup)?),
            None => resolved.push_str(&rest[start..=start + length]),
        }
        rest = &rest[start + length + 1..];
    }
    resolved.push_str(rest);
    Ok(resolved)
}

fn look_up(provider: &str, what: &str, lookup: &Lookup<'_>) -> Result<String, String> {
    let (path, key) = what.split_once(':').unwrap_or(("", what));
    match provider {
        "env" => (lookup.env)(key).ok_or_else(|| format!("environment variable {key} is not set")),
        "file" => {
            let entries = properties::parse(&read(Path::new(path), lookup)?)
                .map_err(|error| format!("{path}: {error}"))?;
            let entry = entries.into_iter().rfind(|entry| entry.key == key);
            entry
                .map(|entry| entry.value)
                .ok_or_else(|| format!("{path} has no key {key}"))
        }
        "dir" | "directory" => {
            if key.contains('/') || key == ".." {
                return Err(format!("{key} must be a file in {path}"));
            }
            let bytes = read(&Path::new(path).join(key), lookup)?;
            String::from_utf8(bytes).map_err(|_| format!("{path}/{key} is not UTF-8"))
        }
        other => Err(format!(
            "no config provider is called {other}; there are file, env and dir"
        )),
    }
}

fn read(path: &Path, lookup: &Lookup<'_>) -> Result<Vec<u8>, String> {
    (lookup.read)(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_wherever_they_stand() {
        let lookup = Lookup {
            env: &|name| (name == "X").then(|| "from env ${env:X}".into()),
            read: &|path| match path.to_str() {
                Some("/secrets") => Ok(b"a=1\nb=2\nb=3".to_vec()),
                Some("/run/token") => Ok(b"t0ken".to_vec()),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
        };
        let table = [
            ("plain", Ok("plain")),
            ("${env:X}", Ok("from env ${env:X}")),
            ("<${file:/secrets:b}${dir:/run:token}>", Ok("<3t0ken>")),
            ("${none}", Ok("${none}")),
            ("$ {x:y} ${", Ok("$ {x:y} ${")),
            ("${env:Y}", Err("environment variable Y is not set")),
            ("${file:/secrets:c}", Err("/secrets has no key c")),
            (
                "${dir:/run:../token}",
                Err("../token must be a file in /run"),
            ),
            (
                "${vault:a:b}",
                Err("no config provider is called vault; there are file, env and dir"),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(
                resolve(text, &lookup),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
        assert!(
            resolve("${file:/nowhere:a}", &lookup)
                .unwrap_err()
                .starts_with("cannot read /nowhere")
        );
    }
}
