//! The secrets that the configuration names by file: values, so that nothing here opens one.

use crate::config::Config;
use crate::credential::{AesKey, AppSecret, Bearer, CallbackToken};

/// What the configuration names only by file.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The `component_appsecret`; needed unless another program owns the token.
    pub appsecret: Option<AppSecret>,
    /// What the program that owns the token wants to see.
    pub bearer: Option<Bearer>,
    /// Those of the push receiver; without them it is off.
    pub callback: Option<CallbackSecrets>,
}

/// What Weixin's push is signed and encrypted with.
#[derive(Clone, Debug)]
pub struct CallbackSecrets {
    /// The token of the signature.
    pub token: CallbackToken,
    /// The EncodingAESKey.
    pub aes_key: AesKey,
    /// The EncodingAESKey before it, while it is being changed.
    pub previous_aes_key: Option<AesKey>,
}

impl CallbackSecrets {
    /// What they are called where one has changed.
    pub(super) const NAMES: [&str; 3] = [
        "the callback token",
        "the EncodingAESKey",
        "the previous EncodingAESKey",
    ];
}

impl Secrets {
    /// Takes on what a running process can of `new`, whose configuration is `wanted`, to go with `config`, which is what holds
    /// of that: where a source or a receiver stays as it is, so do its secrets.
    pub(super) fn take_on(&self, new: Self, config: &Config, wanted: &Config) -> Self {
        let same_source = config.token.source == wanted.token.source;
        Self {
            appsecret: new.appsecret.or_else(|| self.appsecret.clone()),
            bearer: if same_source {
                new.bearer
            } else {
                self.bearer.clone()
            },
            callback: match (&self.callback, new.callback) {
                (Some(_), Some(new)) => Some(new),
                (ours, _) => ours.clone(),
            },
        }
    }

    /// The names of those that are others in `new`.
    pub(super) fn renewed(&self, new: &Self) -> Vec<&'static str> {
        let (ours, theirs) = (self.callback.as_ref(), new.callback.as_ref());
        let [token, key, previous] = CallbackSecrets::NAMES;
        let previous_of = |secrets: &'_ CallbackSecrets| secrets.previous_aes_key.clone();
        let renewed = [
            (
                "the appsecret",
                differ(self.appsecret.as_ref(), new.appsecret.as_ref(), AppSecret::is),
            ),
            (
                "the bearer credential",
                differ(self.bearer.as_ref(), new.bearer.as_ref(), Bearer::is),
            ),
            (token, differ(ours, theirs, |a, b| a.token.is(&b.token))),
            (key, differ(ours, theirs, |a, b| a.aes_key.is(&b.aes_key))),
            (
                previous,
                differ(
                    ours.and_then(previous_of).as_ref(),
                    theirs.and_then(previous_of).as_ref(),
                    AesKey::is,
                ),
            ),
        ];
        renewed
            .into_iter()
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }
}

fn differ<T>(ours: Option<&T>, theirs: Option<&T>, is: impl Fn(&T, &T) -> bool) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => !is(ours, theirs),
        (ours, theirs) => ours.is_some() != theirs.is_some(),
    }
}
