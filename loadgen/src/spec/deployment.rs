//! `[deployment]`: how every arm of a campaign is deployed, as a human writes it.

use std::str::FromStr;

use serde::Deserialize;

/// Most servers of an arm.
const SERVERS_MAX: u32 = 16;

/// How the servers of an arm are deployed.
///
/// It becomes part of the name of an arm, `session@redis x3 haproxy`, so everything that has to do
/// with an arm has to do with the arm as it was deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentSpec {
    /// Servers, which share a key and a store.
    #[serde(default = "one")]
    pub servers: u32,
    /// The proxy before them.
    pub proxy: ProxyName,
    /// How the proxy chooses one of them.
    #[serde(default)]
    pub balance: BalanceName,
}

/// A proxy, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyName {
    /// `haproxy`.
    Haproxy,
    /// `nginx`.
    Nginx,
}

/// How a proxy chooses a server, by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BalanceName {
    /// One server after the other.
    #[default]
    RoundRobin,
    /// The one that a user met first.
    Sticky,
}

const fn one() -> u32 {
    1
}

impl FromStr for ProxyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "haproxy" => Ok(Self::Haproxy),
            "nginx" => Ok(Self::Nginx),
            _ => Err(format!("expected haproxy or nginx, found `{text}`")),
        }
    }
}

impl FromStr for BalanceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "round-robin" => Ok(Self::RoundRobin),
            "sticky" => Ok(Self::Sticky),
            _ => Err(format!("expected round-robin or sticky, found `{text}`")),
        }
    }
}

impl DeploymentSpec {
    /// What is wrong with it, if anything is.
    pub fn fault(&self) -> Option<String> {
        let fits = (1..=SERVERS_MAX).contains(&self.servers);
        (!fits).then(|| format!("expected from 1 to {SERVERS_MAX} servers, found {}", self.servers))
    }

    /// The name of an arm that is deployed so; one that says itself how keeps that.
    pub fn name(&self, arm: &str) -> String {
        let (head, flags) = match arm.split_once('+') {
            Some((head, flags)) => (head, format!("+{flags}")),
            None => (arm, String::new()),
        };
        if head.contains(' ') {
            return arm.into();
        }
        let proxy = match self.proxy {
            ProxyName::Haproxy => "haproxy",
            ProxyName::Nginx => "nginx",
        };
        let balance = match self.balance {
            BalanceName::RoundRobin => "",
            BalanceName::Sticky => " sticky",
        };
        format!("{head} x{} {proxy}{balance}{flags}", self.servers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_in_the_name_of_an_arm_once() {
        let sticky =
            DeploymentSpec { servers: 2, proxy: ProxyName::Nginx, balance: BalanceName::Sticky };
        assert_eq!(sticky.name("a+ttl=1h"), "a x2 nginx sticky+ttl=1h");
        assert_eq!(sticky.name("a x3 haproxy"), "a x3 haproxy");
        let plain = DeploymentSpec { balance: BalanceName::RoundRobin, ..sticky };
        assert_eq!(plain.name("a"), "a x2 nginx");
        for servers in [0, 17] {
            let fault = DeploymentSpec { servers, ..plain }.fault().unwrap();
            assert!(fault.contains("from 1 to 16"), "{fault}");
        }
        assert_eq!(plain.fault(), None);
    }
}
