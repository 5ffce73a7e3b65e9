//! The series of the process as a whole. They are on every gateway's page, so whoever scrapes several takes the maximum, not the sum.

use crate::control::{HALL, Shared};
use crate::process::Shed;

use super::Page;

pub(super) fn write(page: &mut Page, shared: &Shared) {
    let (ledger, process) = (&shared.team.ledger, &shared.team.process);
    let ceiling = ledger.ceiling();
    page.family("weir_process_connections", "gauge", "Client connections of this process, of all gateways.").value("", ceiling.current);
    page.family("weir_process_connections_max", "gauge", "How many this process takes; its log says why.").value("", ceiling.value);
    let hall = ledger.snapshot().into_iter().find(|state| *state.name == *HALL).map_or(0, |hall| hall.refused);
    let mut family = page.family(
        "weir_process_connections_refused_total",
        "counter",
        "Connections that were accepted and refused for what the process can carry, whatever the limits say.",
    );
    let exact = [("over_process_ceiling", ceiling.refused), ("too_many_handshakes", hall), ("no_descriptors", process.no_descriptor())];
    exact.into_iter().for_each(|(reason, count)| family.value(&format!("reason=\"{reason}\""), count));
    page.family(
        "weir_process_connections_refused_by_kernel_estimate",
        "counter",
        "About how many connections the kernel refused while ports did not listen. In no other counter.",
    )
    .value("reason=\"storm\"", process.by_kernel());
    let mut family = page.family(
        "weir_process_connections_shed_total",
        "counter",
        "Connections that were ended to make room while a limit was nearly full.",
    );
    Shed::ALL.into_iter().for_each(|why| family.value(&format!("reason=\"{}\"", why.as_str()), process.shed_for(why)));
}
