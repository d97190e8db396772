//! The command line, and the help that teaches it.

use std::{
    ffi::OsString,
    fmt::{self, Display, Formatter},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::ParseIntError,
    path::PathBuf,
    str::FromStr,
};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};
use reqwest::Url;
use secrecy::SecretString;
use serde::Serialize;
use shared::{deliver::schedule::RetrySchedule, model::check_name};

/// Webhooks for the academies of a learning platform.
#[derive(Debug, Parser)]
#[command(
    name = "academy-hooks",
    version,
    after_help = "Start with `academy-hooks demo`: it shows a delivery, a failing endpoint, its \
                  retries and the error record, and takes about ten seconds."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Reads the command line. A wrong one ends the process, with what is wrong and with 2.
    pub(crate) fn read() -> Self {
        let cli = Self::parse();
        if let Command::Change(ChangeArgs { sides, .. }) = &cli.command
            && let Sides {
                before: Some(Input::Stdin),
                after: Some(Input::Stdin),
            } = sides
        {
            let both = "only one of --before and --after can be the standard input";
            Self::command()
                .error(ErrorKind::ArgumentConflict, both)
                .exit();
        }
        cli
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole bundle here: the HTTP API, the queues, the workers, the tables.
    Serve(ServeArgs),
    /// Show one delivery that arrives and one that does not, from subscribing to the error record.
    Demo,
    /// Publish one event, over the API of any deployment.
    Publish(PublishArgs),
    /// Say what a record was and is, over the API of any deployment, which finds the events in it.
    Change(ChangeArgs),
    /// Academies of a deployment.
    Academy(AcademyArgs),
    /// Users of a deployment.
    User(UserArgs),
    /// Tokens of a deployment.
    Token(TokenArgs),
    /// Dead-lettered deliveries of a deployment: list their errors, redeliver them.
    Errors(ErrorsArgs),
    /// The dead-letter queue of a deployment.
    Dlq(DlqArgs),
    /// Events that came over a deployment's event bus and are wrong.
    Bus(BusArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without --fixtures and with nothing stored yet, an academy, a superadmin and a publisher are made,
and their tokens are shown with three commands to try them with.

Stop it with Ctrl-C: deliveries in progress are ended first. Hooks, counters, tokens, errors and
queued jobs stay in the data directory; remove the directory to start from nothing.")]
pub(crate) struct ServeArgs {
    /// Where the HTTP API listens.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9000")]
    pub(crate) addr: SocketAddr,
    /// The address that the tables, the queues and the bus listen on, for programs elsewhere: containers, say.
    ///
    /// The exports that are printed carry it, so it is one that those programs can call. The ports are free
    /// ones. Any credentials will do there: whoever can reach the address can read and change everything,
    /// secrets of hooks among it. Give no address that others than you can reach.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", value_parser = aws_addr)]
    pub(crate) aws_addr: IpAddr,
    /// Where everything is kept.
    #[arg(long, value_name = "DIR", default_value = ".academy-hooks")]
    pub(crate) data: PathBuf,
    /// Keep nothing: all is gone when it stops.
    #[arg(long, conflicts_with = "data")]
    pub(crate) in_memory: bool,
    /// Academies, users, tokens and hooks to begin with, as JSON; the store must be empty.
    #[arg(long, value_name = "FILE")]
    pub(crate) fixtures: Option<PathBuf>,
    /// An address that hooks may call although it is not public, such as 127.0.0.1:3000. May be
    /// given more than once.
    #[arg(long = "allow-target", value_name = "IP:PORT")]
    pub(crate) allow_targets: Vec<SocketAddr>,
    /// The waits after the first, second, … failure of a delivery.
    #[arg(long, value_name = "WAIT,…", default_value = RetrySchedule::DEFAULT)]
    pub(crate) retry_schedule: RetrySchedule,
}

/// What both commands of a publisher end their help with.
const PUBLISHING: &str = "\
For example:

  academy-hooks publish cohort_user.added --academy downtown-campus --file cohort-user.json
  academy-hooks change assignments.Task --before task-as-it-was.json --after task.json

The token is a publisher's or a superadmin's. It is that of the environment variable
ACADEMY_HOOKS_TOKEN, or in a file; on the command line other users of the machine could read it.

When the API asks to be called later (429, or any 5xx), cannot be reached or breaks off, the command
tries again, up to three times: after the answer's Retry-After, else after 1, 2 and 4 seconds, and no
later than 30 seconds from its start. Each try may take 30 seconds. All tries go under one id, so that
nothing is published twice: the one that is given, else one made at random. With the id that is shown
the same command can be given again for 24 hours.

Exit codes:
  0  accepted
  1  refused, or something else that sending it again does not change
  2  wrong usage
  3  not accepted now, or no answer: give the same command again, with the id that is shown";

/// Where the API is, and who calls it.
#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    /// Where the API is, with the /v1/notify of its paths or without.
    #[arg(
        long,
        value_name = "URL",
        env = "ACADEMY_HOOKS_API",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9000"
    )]
    pub(crate) api: Url,
    /// A file with the token, in the place of the environment's `ACADEMY_HOOKS_TOKEN`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Send the token in the clear, over http:// to another machine.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Print the API's answer as it came.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is taken from the environment alone. It is read like a command line without arguments: on
/// the real one, a token would be in the system's list of processes.
#[derive(Debug, Parser)]
pub(crate) struct Environment {
    #[arg(long, env = "ACADEMY_HOOKS_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<SecretString>,
}

impl Environment {
    /// Reads it. What is no text ends the process, like a wrong command line.
    pub(crate) fn read() -> Self {
        Self::parse_from([env!("CARGO_PKG_NAME")])
    }
}

#[derive(Debug, Args)]
#[command(after_help = PUBLISHING)]
pub(crate) struct PublishArgs {
    /// The event's name.
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The payload; `-` is the standard input.
    ///
    /// It is JSON of at most 256 KiB, and sent byte for byte as it is.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Input,
    /// The event's id; made at random unless given.
    ///
    /// Under one id, of at most 64 characters, one event is published in 24 hours, whatever else is
    /// sent under it.
    #[arg(long)]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// Where an event happened.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// The academy at which it happened: its slug or, in digits, its number.
    #[arg(long, value_name = "SLUG_OR_ID")]
    academy: Option<AcademyRef>,
    /// It happened at no academy: only superadmins hear of it.
    #[arg(long)]
    no_academy: bool,
}

impl Place {
    /// The academy, or none: clap sees to it that one of the two is said, and not both.
    pub(crate) fn academy(self) -> Option<AcademyRef> {
        self.academy.filter(|_| !self.no_academy)
    }
}

/// An academy as the API takes it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum AcademyRef {
    Id(u64),
    Slug(String),
}

impl FromStr for AcademyRef {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.contains(|c: char| !c.is_ascii_digit()) {
            return Ok(Self::Slug(text.to_owned()));
        }
        text.parse().map(Self::Id)
    }
}

#[derive(Debug, Args)]
#[command(after_help = PUBLISHING)]
pub(crate) struct ChangeArgs {
    /// The record's model, as the catalogue of events has it: assignments.Task, say.
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) sides: Sides,
    /// The change's id; made at random unless given.
    ///
    /// Under one id, of at most 64 characters, one change is published in 24 hours, whatever else is
    /// sent under it.
    #[arg(long)]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// A record before and after its change.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Sides {
    /// The record as it was; without it the record is new. `-` is the standard input.
    ///
    /// It is a JSON object of at most 2 MiB.
    #[arg(long, value_name = "FILE")]
    pub(crate) before: Option<Input>,
    /// The record as it is; without it the record is gone. `-` is the standard input.
    ///
    /// It is a JSON object of at most 2 MiB.
    #[arg(long, value_name = "FILE")]
    pub(crate) after: Option<Input>,
}

/// Where JSON is read from.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Stdin,
    File(PathBuf),
}

impl From<OsString> for Input {
    fn from(text: OsString) -> Self {
        if text == "-" {
            Self::Stdin
        } else {
            Self::File(text.into())
        }
    }
}

impl Display for Input {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("the standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Which deployment a command is for.
#[derive(Debug, Args)]
pub(crate) struct Deployment {
    /// The stack's name; without it the tables and queues are those that the environment names.
    #[arg(
        long,
        value_name = "NAME",
        global = true,
        long_help = "The stack's name. Without it the tables and queues are those that the \
                     environment names: HOOKS_TABLE, HOOK_STATE_TABLE and IDENTITIES_TABLE for \
                     academies, users and tokens, HOOK_ERRORS_TABLE and DELIVERIES_QUEUE_URL for \
                     errors, DEAD_LETTERS_QUEUE_URL for dead letters, EVENTS_QUEUE_URL and \
                     DEAD_EVENTS_QUEUE_URL for events of the bus. Region, credentials and \
                     AWS_ENDPOINT_URL are those of the AWS CLI."
    )]
    pub(crate) stack: Option<String>,
}

impl Display for Deployment {
    /// As it stands at the end of another command for the same one.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut stack = self.stack.iter();
        stack.try_for_each(|stack| write!(f, " --stack {stack}"))
    }
}

#[derive(Debug, Args)]
pub(crate) struct AcademyArgs {
    #[command(subcommand)]
    pub(crate) command: AcademyCommand,
    #[command(flatten)]
    pub(crate) deployment: Deployment,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AcademyCommand {
    /// Make an academy known. The user of the same name then acts for it.
    Add {
        /// Its short name.
        #[arg(value_parser = name)]
        slug: String,
        /// Its name; the slug unless given.
        #[arg(long)]
        name: Option<String>,
        /// Its number on the platform; the next free one unless given.
        #[arg(long)]
        id: Option<u64>,
    },
    /// Erase an academy, with all that is kept of it and of what happened at it.
    #[command(after_help = "\
Erased are: its hooks, with their secrets, counters, attempts and samples; its errors, with the
deliveries that are kept with them; its user and that user's tokens; the academy itself; of superadmins,
the deliveries that are kept of what happened at it, and all their samples, which do not say where they
are from. Nobody can get that back.

What is in the queues goes by itself: deliveries to its hooks are dropped within 14 days.
Interrupted, or when one of its deliveries was dead-lettered meanwhile, the same command erases the rest.")]
    Erase {
        /// Its short name.
        #[arg(value_parser = name)]
        slug: String,
        /// Do it; without this it is only shown what there is.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
    #[command(flatten)]
    pub(crate) deployment: Deployment,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user known, or give a known one exactly these rights.
    Add {
        /// The user's name: an academy's slug, for the user that acts for it.
        #[arg(value_parser = name)]
        username: String,
        /// May manage every hook, and hears every academy's events.
        #[arg(long)]
        superadmin: bool,
        /// May publish events.
        #[arg(long)]
        publisher: bool,
        /// Refuse its tokens; its hooks go on.
        #[arg(long)]
        inactive: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
    #[command(flatten)]
    pub(crate) deployment: Deployment,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a user. It is shown once and stored only as a digest.
    Issue {
        /// Whose it is.
        username: String,
        /// How many days it is accepted; for ever unless given.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        expires_in: Option<u32>,
    },
    /// List tokens by the first digits of their digests.
    List {
        /// Only this user's.
        username: Option<String>,
    },
    /// Refuse a token from now on.
    Revoke {
        /// The digits that `token list` shows.
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
An error stands for all dead-lettered deliveries of one owner with the same event and the same
message. Each of them is kept for 30 days. When the endpoint is well again:

  academy-hooks errors list --owner downtown-campus --stack academy-hooks-dev
  academy-hooks errors redeliver 12 --stack academy-hooks-dev")]
pub(crate) struct ErrorsArgs {
    #[command(subcommand)]
    pub(crate) command: ErrorsCommand,
    #[command(flatten)]
    pub(crate) deployment: Deployment,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ErrorsCommand {
    /// List errors, the newest first: id, owner, event, count, hooks, first and last time, message.
    List {
        /// Only those of this user's hooks.
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
    },
    /// Redeliver what is kept with an error, until nothing is left.
    #[command(after_help = "\
They keep their ids, restart their retry schedule, and go to where their hooks point now; those of
a hook that is gone are dropped. Interrupt it when you like: what was not sent stays kept, and the
same command goes on with it. A delivery that fails again is counted in the same error.")]
    Redeliver {
        /// The error's id.
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        id: u64,
        /// Refuse if the error is not of this user's hooks.
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    pub(crate) command: DlqCommand,
    #[command(flatten)]
    pub(crate) deployment: Deployment,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// Show what is in the dead-letter queue, without taking it away.
    #[command(after_help = "\
Dead letters become errors within seconds (`academy-hooks errors list`): what stays in the queue could
not be recorded, or not be read. The function `errors` tries it again every three minutes, and in
between nobody can see it: to look at it, disable the function's trigger for as long. Looking adds
one to how often a message was received, which means nothing in this queue.")]
    Peek {
        /// How many messages to show at most.
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        max: u16,
        /// Show payloads, too, and the bodies of messages that cannot be read.
        #[arg(long)]
        payload: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BusArgs {
    #[command(subcommand)]
    pub(crate) command: BusCommand,
    #[command(flatten)]
    pub(crate) deployment: Deployment,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BusCommand {
    /// Show the events that could not be published, with the reasons, without taking them away.
    Peek {
        /// How many events to show at most.
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        max: u16,
        /// Show the events whole, too.
        #[arg(long)]
        payload: bool,
    },
    /// Have them published after all: when what was wrong with them is mended, such as an academy that
    /// was not known.
    #[command(after_help = "\
Each event goes back into the queue that it came from and is then taken out of the dead ones. One that is
still wrong comes back to them. Interrupt it when you like: nothing is lost, and what had an id is
published once.")]
    Resend,
}

const LINK_LOCAL: &str = "a link-local address, which needs the name of an interface, and that no URL can carry: give \
     another address of this machine's";

fn aws_addr(text: &str) -> Result<IpAddr, &'static str> {
    let Ok(address) = text.parse::<IpAddr>() else {
        return Err(if text.parse::<SocketAddr>().is_ok() {
            "an address and a port: give the address alone, the ports are free ones"
        } else if text.starts_with('[') {
            "not an IP address: one of IPv6 has no brackets here, such as ::1"
        } else if text.contains('%') {
            LINK_LOCAL
        } else {
            "not an IP address"
        });
    };
    let canonical = address.to_canonical();
    let is_broadcast = canonical == IpAddr::V4(Ipv4Addr::BROADCAST);
    if canonical.is_unspecified() || canonical.is_multicast() || is_broadcast {
        return Err("not an address that others can connect to: give one of this machine's");
    }
    match canonical {
        IpAddr::V6(address) if address.is_unicast_link_local() => Err(LINK_LOCAL),
        _ => Ok(address),
    }
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}
