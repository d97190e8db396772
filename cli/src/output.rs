//! What commands print. Whoever has it may stop reading before its end, as `head` does: that ends no command.

use std::{
    fmt::Arguments,
    io::{Write, stderr, stdout},
};

/// Prints a line.
macro_rules! say {
    ($($line:tt)*) => {
        $crate::output::say(format_args!($($line)*))
    };
}

/// Prints a line on standard error.
macro_rules! complain {
    ($($line:tt)*) => {
        $crate::output::complain(format_args!($($line)*))
    };
}

pub(crate) fn say(line: Arguments<'_>) {
    let _ = writeln!(stdout(), "{line}");
}

pub(crate) fn complain(line: Arguments<'_>) {
    let _ = writeln!(stderr(), "{line}");
}
