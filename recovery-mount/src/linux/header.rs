//! The comment at the top, for the administrator who looks before running.

use crate::civil_time::CivilTime;
use crate::plan::{CheckedPlan, PlanDisk, PlanNotServed};
use crate::quote::{comment, folded};
use crate::verify::verify_command;

/// Characters that a name may take on its line.
const NAME_WIDTH: usize = 80;
/// Characters of a reason on one line, and in all.
const REASON_WIDTH: usize = 100;
const REASON_LENGTH: usize = 600;

pub(super) fn header(checked: &CheckedPlan<'_>, file_name: &str) -> String {
    let plan = checked.plan;
    let name = |text: &str| comment(text, NAME_WIDTH);
    let mut lines = vec![
        "#!/usr/bin/python3 -I".to_owned(),
        "# itemlift mount script: mounts the disks of a VM's recovery point, read-only, until it is closed.".to_owned(),
        "#".to_owned(),
        format!("# VM:             {}", name(&plan.vm)),
        format!("# Recovery point: {}", name(&plan.point)),
        format!("# Site:           {}", name(&plan.site)),
        format!("# Grant:          {}", plan.grant),
        format!("# Target:         {}", plan.iqn),
        format!("# Server:         {}", plan.portal),
        format!("# Created:        {}", CivilTime::from_unix(plan.created_at).readable()),
        format!("# Expires:        {}", CivilTime::from_unix(plan.expires_at).readable()),
        "#".to_owned(),
        "# Disks that it attaches:".to_owned(),
        "#   LUN        Size  Sector  Name".to_owned(),
    ];
    lines.extend(plan.disks.iter().map(disk_line));
    if !plan.not_served.is_empty() {
        lines.extend([
            "#".to_owned(),
            "# Disks of the recovery point that are damaged, and that it does not attach:"
                .to_owned(),
            "#   LUN  Name, and what is wrong with it".to_owned(),
        ]);
        lines.extend(plan.not_served.iter().flat_map(not_served_lines));
    }
    lines.extend([
        "#".to_owned(),
        "# To verify it, with the server's ca.pem, in bash:".to_owned(),
        format!("#   itemlift script verify {file_name} --ca ca.pem"),
        "# or with OpenSSL alone:".to_owned(),
    ]);
    lines.extend(
        verify_command(file_name, "ca.pem")
            .lines()
            .map(|line| format!("#   {line}")),
    );
    lines.extend([
        "# To run it, as root; it asks for the password that was shown when the grant was created:"
            .to_owned(),
        format!("#   sudo python3 -I {file_name}"),
        "# Add --check to see what it would do, --help for everything else.".to_owned(),
        "#".to_owned(),
    ]);
    let mut text = lines.join("\n");
    text.push_str("\n\n");
    text
}

fn disk_line(disk: &PlanDisk) -> String {
    let PlanDisk {
        lun,
        size,
        sector_size,
        name,
    } = disk;
    format!(
        "#   {lun:>3}  {:>10}  {sector_size:>6}  {}",
        readable_size(*size),
        comment(name, NAME_WIDTH)
    )
}

fn not_served_lines(disk: &PlanNotServed) -> Vec<String> {
    let PlanNotServed { lun, name, reason } = disk;
    let mut lines = vec![format!("#   {lun:>3}  {}", comment(name, NAME_WIDTH))];
    let reason = comment(reason, REASON_LENGTH);
    let reason = folded(&reason, REASON_WIDTH);
    lines.extend(reason.iter().map(|line| format!("#        {line}")));
    lines
}

/// `512 B`, `1.0 GiB`, `64.0 TiB`: one decimal, rounded down.
fn readable_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = "B";
    for larger in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = larger;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (512, "512 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1 << 30, "1.0 GiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
            (64 << 40, "64.0 TiB"),
        ] {
            assert_eq!(readable_size(bytes), text);
        }
    }
}
