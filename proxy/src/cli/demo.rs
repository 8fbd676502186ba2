//! `tamis demo`: an embedded set-up with its own upstream services, and a handful of things to try.

mod services;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::app::{App, Bound, Own, StartError};
use crate::config;
use services::{Behaviour, Service};

const CONFIGURATION: &str = include_str!("demo.toml");

#[derive(Debug, Args)]
pub struct Options {
    /// Where the proxy listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the admin listens.
    #[arg(long, default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// Write one JSON line an exchange to standard output.
    #[arg(long)]
    access_log: bool,
}

pub fn demo(options: &Options) -> ExitCode {
    let services = match Service::start_all() {
        Ok(services) => services,
        Err(error) => {
            eprintln!("error: the demo's own services cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match build(options, &services) {
        Ok(bound) => {
            introduce(&bound, &services);
            super::run::exit_code(bound.run())
        }
        Err(error) => {
            eprintln!("error: {error}");
            eprintln!(
                "is another program on that address? `tamis demo --listen 127.0.0.1:0 --admin 127.0.0.1:0` takes free ones"
            );
            ExitCode::FAILURE
        }
    }
}

fn build(options: &Options, services: &[Service]) -> Result<Bound, StartError> {
    let mut text = CONFIGURATION
        .replace("{listen}", &options.listen.to_string())
        .replace("{admin}", &options.admin.to_string())
        .replace("{access-log}", if options.access_log { "stdout" } else { "off" });
    for service in services {
        text = text.replace(&format!("{{{}}}", service.name), &service.address.to_string());
    }
    App::build_with_signals(config::parse(&text, Path::new("demo.toml"))?, Own::default())
}

fn introduce(bound: &Bound, services: &[Service]) {
    let proxy = bound.listener("demo").map_or_else(String::new, |address| address.to_string());
    let admin = bound.admin().map_or_else(String::new, |address| address.to_string());
    println!("tamis demo: the proxy is on http://{proxy}, the admin on http://{admin}");
    println!("its upstream services, in this same process:");
    for service in services {
        let does = match service.behaviour {
            Behaviour::Answers => "answers at once with its name",
            Behaviour::Slow => "takes 3 seconds",
            Behaviour::Flaky => "fails every third time",
        };
        println!("  {:<9} {}   {does}", service.name, service.address);
    }
    println!("\ntry, in another terminal:");
    for (command, shows) in [
        (format!("curl -s http://{proxy}/users/"), "the router filter gives 90 of 100 to users-v1, 10 to users-v2"),
        (format!("for i in $(seq 100); do curl -s http://{proxy}/users/; done | sort | uniq -c"), "… count them"),
        (format!("curl -si http://{proxy}/hello/ada"), "a path template; the headers filter adds x-request-id"),
        (format!("curl -si http://{proxy}/old/7"), "a redirect that the filter answers by itself"),
        (format!("curl -si http://{proxy}/slow"), "a route with a timeout of one second: 504, and the reason why"),
        (format!("curl -si http://{proxy}/flaky"), "an upstream that fails now and then"),
        (format!("curl -si http://{proxy}/nowhere"), "no route: 404, made by the proxy itself"),
        (format!("curl -s http://{admin}/filters"), "the Wasm modules that decide all this"),
    ] {
        println!("  {command}\n      {shows}");
    }
    println!("\nCtrl-C ends it.");
}
