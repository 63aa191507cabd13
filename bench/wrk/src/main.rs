//! Arguments to one run, and its outcome to the report.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sandpool_wrk::{hgrm, json, run, text, Args, Interrupt, Mode, Outcome, Plan};

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
    // what a person reads goes where it does not mix with the JSON
    let to_stdout = args.json.as_deref() != Some(Path::new("-"));
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
    if let Some(path) = &args.json {
        let json = json::report(plan, &outcome);
        if to_stdout {
            write(path, &json)?;
        } else {
            io::stdout().write_all(json.as_bytes())?;
        }
    }
    if let Some(path) = &args.hgrm {
        let latencies =
            if plan.is_about_handshakes() { &outcome.totals.handshakes } else { &outcome.totals.latencies };
        write(path, &hgrm::spectrum(latencies))?;
    }
    Ok(outcome)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
