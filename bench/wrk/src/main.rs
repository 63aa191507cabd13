//! Arguments to one run, and its outcome to the report.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sandpool_wrk::{hgrm, json, run, text, Args, Interrupt, Mode, Outcome, Plan, STDOUT};

fn main() -> ExitCode {
    let args = Args::parse();
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("sandpool-wrk: {error}");
            return ExitCode::from(2);
        }
    };
    match measure(&args, &plan) {
        Ok(outcome) if outcome.is_right() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sandpool-wrk: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args, plan: &Plan) -> Result<Outcome, Box<dyn std::error::Error>> {
    let interrupt = Interrupt::at_ctrl_c()?;
    let mut json_out = args.json.as_deref().map(Output::open).transpose()?;
    let mut hgrm_out = args.hgrm.as_deref().map(Output::open).transpose()?;
    // what a person reads goes where it does not mix with what a program does
    let to_stdout = ![&json_out, &hgrm_out].iter().any(|out| matches!(out, Some(Output::Stdout)));
    let say = |text: &str| -> io::Result<()> {
        if to_stdout {
            io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush())
        } else {
            io::stderr().write_all(text.as_bytes())
        }
    };
    say(&text::heading(plan))?;
    let began = |plan: &Plan, ramp: Duration| {
        if plan.mode() == Mode::Hold {
            // without a reader it goes on
            let _ = say(&format!("  Holding, after {ramp:.2?}\n"));
        }
    };
    let outcome = run(plan, &interrupt, &began)?;
    say(&text::report(plan, &outcome, args.latency, args.since_sent))?;
    if let Some(out) = &mut json_out {
        out.write(&json::report(plan, &outcome))?;
    }
    if let Some(out) = &mut hgrm_out {
        let latencies =
            if plan.is_about_handshakes() { &outcome.totals.handshakes } else { &outcome.totals.latencies };
        out.write(&hgrm::spectrum(latencies))?;
    }
    Ok(outcome)
}

/// Where a report for programs goes. It is open before the load begins, for afterwards is too late to learn that it can't be.
enum Output {
    Stdout,
    File { path: String, file: File },
}

impl Output {
    fn open(path: &Path) -> Result<Self, String> {
        if path == Path::new(STDOUT) {
            return Ok(Self::Stdout);
        }
        let name = path.display().to_string();
        let file = File::create(path).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self::File { path: name, file })
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        match self {
            Self::Stdout => {
                io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
            }
            Self::File { path, file } => {
                file.write_all(text.as_bytes()).map_err(|error| format!("{path}: {error}"))
            }
        }
    }
}
