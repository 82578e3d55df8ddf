//! Flags that say how the servers of an arm are deployed.

use clap::Args;

use crate::error::{Error, Result};
use crate::spec::{BalanceName, DeploymentSpec, ProxyName};

/// How the servers of `--arm` are deployed.
#[derive(Debug, Args)]
pub(super) struct DeploymentArgs {
    /// Start this many servers of --arm behind --proxy, which share a key and a store [default: 1]
    #[arg(long, value_name = "N", requires = "proxy")]
    servers: Option<u32>,
    /// Put this proxy before the servers of --arm: haproxy or nginx
    #[arg(long, value_name = "PROXY", conflicts_with_all = ["url", "target"])]
    proxy: Option<ProxyName>,
    /// Choose a server round-robin, or sticky: the one that a user met first
    #[arg(long, value_name = "HOW", requires = "proxy")]
    balance: Option<BalanceName>,
}

impl DeploymentArgs {
    /// The name of the arm as it is deployed.
    ///
    /// # Errors
    /// `Config` where the flags make no sense.
    pub(super) fn name(&self, arm: &str) -> Result<String> {
        let Some(proxy) = self.proxy else { return Ok(arm.into()) };
        let (servers, balance) = (self.servers.unwrap_or(1), self.balance.unwrap_or_default());
        let deployment = DeploymentSpec { servers, proxy, balance };
        match deployment.fault() {
            Some(fault) => Err(Error::Config(format!("--servers: {fault}"))),
            None => Ok(deployment.name(arm)),
        }
    }
}
