//! Configurations.

use staticstored::config::{Config, Environment, LONGEST_RENEW_BEFORE};

use super::is_a_line;

/// A configuration file; lines `STATICSTORED_…=…` at its start are variables of the environment.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut env = Environment::new();
    let mut file = text.as_ref();
    while let Some((line, rest)) = file.split_once('\n')
        && let Some((name, value)) = line.split_once('=')
        && name.starts_with("STATICSTORED_")
    {
        env.insert(name.to_owned(), value.to_owned());
        file = rest;
    }
    match Config::parse(file, &env) {
        Ok(config) => {
            assert!(!config.component.appid.is_empty());
            assert!(
                config.token.renew_before <= LONGEST_RENEW_BEFORE && !config.token.renew_before.is_zero()
            );
            assert!((1..=1024).contains(&config.api.max_in_flight));
            let url = &config.api.base_url;
            assert!(
                matches!(url.scheme(), "http" | "https") && url.has_host(),
                "{url}"
            );
            let changes = config.take_on(&config);
            assert_eq!((changes.taken, changes.held), (Vec::new(), Vec::new()));
            assert_eq!(changes.config, config);
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.lines().all(is_a_line), "{told:?}");
            assert!(told.len() > 10, "{told:?}");
        }
    }
}
