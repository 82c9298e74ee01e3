#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright the moncap authors. SPDX-License-Identifier: Apache-2.0
"""Capture an IPsec tunnel on both gateways and return the verdict."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: run
short_description: Capture an IPsec tunnel on both gateways and say what is wrong
description:
  - Runs C(moncap run) where the module runs, which is meant to be the controller.
  - In check mode nothing is sent to a router; the plan is returned. In diff mode the commands are shown.
  - The routers are as they were afterwards, so nothing is changed; only with C(--check) or C(--diff) it says so, as Ansible
    shows no commands otherwise.
options:
  tunnel: {description: Name of the tunnel in moncap's inventory., type: str, required: true}
  inventory: {description: moncap's inventory. Default is E(MONCAP_INVENTORY)., type: path}
  runs: {description: Folder of the bundles. Default is E(MONCAP_RUNS)., type: path}
  until: {description: What ends the wait early., type: str, default: decided}
  duration: {description: "How long to capture at most, such as V(60s).", type: str}
  trigger: {description: Command that makes the tunnel negotiate., type: str}
  wait_for_router: {description: How long to wait for routers that other runs have., type: str, default: 10m}
  fail_on: {description: Outcomes of the tunnel that fail the task. A run that failed always does., type: list, elements: str,
    choices: [degraded, failed, inconclusive], default: []}
  executable: {description: The program., type: str, default: moncap}
author: [The moncap authors]
"""

EXAMPLES = r"""
- moncap.moncap.run: {tunnel: hq-branch, inventory: /etc/moncap/inventory.yaml}
  delegate_to: localhost
"""

RETURN = r"""
ansible_facts: {description: "C(moncap.verdict), C(moncap.findings) and C(moncap.actions) of the report.", type: dict, returned: after a run}
commands: {description: What is sent to each router in which phase., type: list, returned: in check and diff mode}
"""

import json

from ansible.module_utils.basic import AnsibleModule

VERDICTS = (0, 1, 2, 3)


def document(module, out, rc, err):
    """The JSON that moncap printed, or the end of the task."""
    try:
        return json.loads(out)
    except ValueError:
        module.fail_json(msg="moncap gave no JSON: %s" % (err.strip() or out.strip()[:200]), exit_code=rc)


def plan(module, base, flags):
    """Every line that would be sent, as steps and as text."""
    rc, out, err = module.run_command(base + ["plan", module.params["tunnel"], "-f", "json"] + flags)
    doc = document(module, out, rc, err)
    if rc != 0:
        module.fail_json(msg=doc.get("error") or err.strip(), exit_code=rc, reason=doc.get("reason"))
    steps = doc["steps"]
    lines = ["%s %s: %s" % (s["side"], s["peer"], line) for s in steps for line in s["lines"]]
    return steps, {"before": "", "after": "\n".join(lines) + "\n", "after_header": "commands to both routers"}


def main():
    module = AnsibleModule(
        supports_check_mode=True,
        argument_spec=dict(
            tunnel=dict(type="str", required=True), inventory=dict(type="path"), runs=dict(type="path"),
            until=dict(type="str", default="decided"), duration=dict(type="str"), trigger=dict(type="str"),
            wait_for_router=dict(type="str", default="10m"), executable=dict(type="str", default="moncap"),
            fail_on=dict(type="list", elements="str", default=[], choices=["degraded", "failed", "inconclusive"]),
        ),
    )
    p = module.params
    base = [module.get_bin_path(p["executable"], required=True), "--no-input", "-q"]
    if p["inventory"]:
        base += ["-i", p["inventory"]]
    flags = ["--until", p["until"]]
    for name in ("duration", "trigger"):
        if p[name]:
            flags += ["--" + name, p[name]]
    result = dict(changed=False)
    if module.check_mode or module._diff:
        result["commands"], result["diff"] = plan(module, base, flags)
        result["changed"] = True  # Ansible shows the difference of changes alone
    if module.check_mode:
        module.exit_json(**result)
    environment = {"MONCAP_RUNS": p["runs"]} if p["runs"] else {}
    rc, out, err = module.run_command(
        base + ["run", p["tunnel"], "-f", "json", "--wait-for-router", p["wait_for_router"]] + flags, environ_update=environment)
    if not out.strip():  # wrong usage: there is no document
        module.fail_json(msg=err.strip(), exit_code=rc, reason="usage", **result)
    doc = document(module, out, rc, err)
    verdict = doc["verdict"]
    findings = doc.get("findings") or []
    result.update(exit_code=rc, ansible_facts=dict(moncap=dict(
        verdict=verdict, findings=findings, actions=[a for f in findings for a in f.get("actions") or []])))
    said = "%s: %s" % (verdict["outcome"], verdict["headline"])
    if rc not in VERDICTS:
        module.fail_json(msg=said + "\n" + err.strip(), reason=verdict.get("reason"), **result)
    if verdict["outcome"] in p["fail_on"]:
        module.fail_json(msg=said, **result)
    module.exit_json(msg=said, **result)


if __name__ == "__main__":
    main()
