//! Who owns the token, and how it is: cached here, or given by its owner.

use anyhow::Context as _;

use super::Finding;
use super::files;
use crate::cli::secret;
use crate::cli::session::Session;
use crate::cli::text::span;
use crate::clock::{between, text};
use crate::config::{Config, OwnerUrl, TokenSource};
use crate::credential::Bearer;
use crate::daemon;
use crate::owner::Owner;

/// The lines about the token, its source's secrets included.
pub(super) async fn lines(session: &Session, config: &Config) -> Vec<(&'static str, Finding)> {
    match &config.token.source {
        TokenSource::Component => vec![
            ("appsecret", files::appsecret(config)),
            ("token cache", files::token_cache(config)),
            ("token", Ok(cached(session, config))),
        ],
        TokenSource::Url { url, bearer_file } => match bearer_file.as_deref().map(secret::bearer).transpose()
        {
            // Without its credential the owner need not be asked.
            Err(error) => vec![("bearer", Err(error))],
            Ok(bearer) => {
                let file = bearer_file.as_ref().map(|file| file.display().to_string());
                let named = file.map(|file| ("bearer", Ok(file)));
                let token = ("token", owned(session, config, url, bearer).await);
                named.into_iter().chain([token]).collect()
            }
        },
    }
}

fn cached(session: &Session, config: &Config) -> String {
    let now = session.clock.now();
    match daemon::cache(config).load(now) {
        Some(token) => format!(
            "fetched by this program; the cached one is {} old and lives until {}",
            span(between(token.obtained_at, now)),
            text(token.expires_at)
        ),
        None => "fetched by this program; none is cached that still lives".to_owned(),
    }
}

async fn owned(session: &Session, config: &Config, url: &OwnerUrl, bearer: Option<Bearer>) -> Finding {
    let place = match url {
        OwnerUrl::Http(url) => url.to_string(),
        OwnerUrl::Socket(path) => format!("unix:{}", path.display()),
    };
    let owner = Owner::new(&daemon::owner_settings(config, url, bearer))?;
    let token = owner
        .current(session.clock.now())
        .await
        .map_err(|error| match error.remedy {
            Some(remedy) => anyhow::anyhow!("{}. {remedy}", error.reason),
            None => anyhow::anyhow!(error.reason),
        })
        .with_context(|| format!("{place} (token.url) owns it"))?;
    Ok(format!(
        "owned by {place}; it lives until {}",
        text(token.expires_at)
    ))
}
