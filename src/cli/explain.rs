//! `staticstored explain`: the table of errcodes, one row at a time.

use clap::Args;

use super::session::Session;
use crate::weixin::errcode;

/// `staticstored explain`
#[derive(Debug, Args)]
pub struct Options {
    /// Weixin's errcode, as in status.errcode
    #[arg(value_name = "ERRCODE", allow_negative_numbers = true)]
    errcode: i64,
}

pub(super) fn run(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    let Some(row) = errcode::explain(options.errcode) else {
        anyhow::bail!(
            "errcode {} is not known here: a call that it answers is looked at, tried a few times more, and then fails \
             with it; look it up in Weixin's documents, or ask its support with the rid from errmsg",
            options.errcode
        );
    };
    session.screen.line(format_args!("errcode  {}", row.code))?;
    session.screen.line(format_args!("meaning  {}", row.meaning))?;
    session.screen.line(format_args!("class    {}", row.class))?;
    session.screen.line(format_args!("remedy   {}", row.remedy))?;
    Ok(())
}
