//! `max.connections.per.ip.overrides`: `address:count` pairs, separated by commas.

use std::collections::HashMap;
use std::net::IpAddr;

/// The limits by address. Names are refused: which addresses they stand for may change while connections last.
pub(super) fn parse(text: &str) -> Result<HashMap<IpAddr, usize>, String> {
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries.map(entry).collect()
}

fn entry(text: &str) -> Result<(IpAddr, usize), String> {
    let wrong = || format!("max.connections.per.ip.overrides: {text} is not address:count");
    let (host, count) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = host.parse().map_err(|_| wrong())?;
    Ok((
        address.to_canonical(),
        count.trim().parse().map_err(|_| wrong())?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_limits() {
        let limits = parse("10.0.0.1:5, [::1]:7,").unwrap();
        assert_eq!(limits.len(), 2);
        assert_eq!(limits[&"10.0.0.1".parse::<IpAddr>().unwrap()], 5);
        assert_eq!(limits[&"::1".parse::<IpAddr>().unwrap()], 7);
        for wrong in ["10.0.0.1", "host:5", "10.0.0.1:-1", ":5"] {
            assert!(
                parse(wrong).unwrap_err().contains("is not address:count"),
                "{wrong}"
            );
        }
    }
}
