//! A list of ranges that takes long to read and much memory to hold: read in `configure`, searched in the request hook.

use tamis_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    /// Makes so many: `10-14`, `20-24` and so on.
    count: Option<u32>,
    /// One `FIRST-LAST` a line. The input `ranges` is read if neither is there.
    ranges: Option<String>,
}

/// First and last of each, in order.
struct Ranges(Vec<(u32, u32)>);

impl Filter for Ranges {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let text = match (config.count, config.ranges) {
            (Some(_), Some(_)) => return Err(ConfigError::new("expected one of `count` and `ranges`, found both")),
            (Some(count), None) => (1..=count).map(|number| format!("{}-{}\n", number * 10, number * 10 + 4)).collect(),
            (None, Some(ranges)) => ranges,
            (None, None) => {
                let input =
                    setup.take_input("ranges").ok_or_else(|| ConfigError::new("expected `count`, `ranges` or an input"))?;
                String::from_utf8(input).map_err(|_| ConfigError::new("the input `ranges` is not text"))?
            }
        };
        let mut ranges = text
            .lines()
            .enumerate()
            .map(|(at, line)| parse(line).ok_or_else(|| ConfigError::new(format_args!("line {}: expected FIRST-LAST", at + 1))))
            .collect::<Result<Vec<_>, _>>()?;
        ranges.sort_unstable();
        Ok(Ranges(ranges))
    }
}

impl RequestHook for Ranges {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let key = request.header("x-key").and_then(|key| key.to_str().ok()?.parse().ok()).unwrap_or(0);
        request.notes().set("hit", if self.hit(key) { "yes" } else { "no" });
        Verdict::Next
    }
}

impl ResponseHook for Ranges {
    fn on_response(&self, response: &mut Response) -> Verdict {
        response.set_header("x-hit", response.notes().get("hit").unwrap_or_default()).expect("a plain field");
        response.set_header("x-ranges", self.0.len().to_string()).expect("a number");
        Verdict::Next
    }
}

tamis_sdk::export!(Ranges: request, response);

impl Ranges {
    fn hit(&self, key: u32) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= key);
        after > 0 && key <= self.0[after - 1].1
    }
}

fn parse(line: &str) -> Option<(u32, u32)> {
    let (first, last) = line.trim().split_once('-')?;
    let range = (first.parse().ok()?, last.parse().ok()?);
    (range.0 <= range.1).then_some(range)
}
