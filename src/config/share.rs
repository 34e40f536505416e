//! What servers share that ask the same accounts.

use super::{Config, Error, Settings};

impl Config {
    /// Requests a second that a scope's budget allows here; 0: unmetered. It is the
    /// ceiling that the rate comes back to after throttling, so that replicas
    /// together stay below `rate` whichever of them are busy. After a rest each may
    /// still send one at once, of which AWS refuses some if there are many.
    #[must_use]
    pub fn rate_share(&self) -> f64 {
        self.rate / f64::from(self.replicas)
    }

    /// Requests that a caller may buy in a UTC day here, rounded up; 0: any number.
    #[must_use]
    pub fn caller_daily_share(&self) -> u64 {
        self.caller_daily_requests
            .div_ceil(u64::from(self.replicas))
    }
}

/// How many share a rate, of which nobody's part may be less than `least`.
///
/// # Errors
/// If the number of servers cannot be used.
pub(super) fn replicas(settings: &Settings, rate: f64, least: f64) -> Result<u32, Error> {
    // at two requests a second, more would wait for half a minute each
    const MOST: u32 = 64;
    let replicas = settings.replicas.unwrap_or(1);
    if replicas == 0 || replicas > MOST {
        return Err(Error::new(format!(
            "--replicas {replicas} is no number of servers; give 1 to {MOST}"
        )));
    }
    if rate != 0.0 && rate / f64::from(replicas) < least {
        return Err(Error::new(format!(
            "--rate {rate} leaves each of --replicas {replicas} less than {least} requests a \
             second; give a higher rate or fewer replicas"
        )));
    }
    Ok(replicas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_share_what_is_spent_and_what_is_unlimited_stays_so() {
        let shares = |rate, daily, replicas| {
            let config = Config::try_from(Settings {
                rate: Some(rate),
                caller_daily_requests: Some(daily),
                replicas,
                aws_endpoint_url: Some("http://127.0.0.1:1".into()),
                ..Settings::default()
            })
            .unwrap();
            (config.rate_share(), config.caller_daily_share())
        };
        assert_eq!(shares(2.0, 100, None), (2.0, 100));
        assert_eq!(shares(2.0, 100, Some(8)), (0.25, 13));
        assert_eq!(shares(2.0, 1, Some(64)), (0.03125, 1));
        assert_eq!(shares(0.0, 0, Some(3)), (0.0, 0));
    }
}
