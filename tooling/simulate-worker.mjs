// One of the processes of `simulate`: runs the scenarios that it is sent, and says what came of them.
const Simulation = await import(process.argv[2])

process.on("message", (scenarios) => {
  const faults = new Map()
  const broken = []
  let operations = 0
  let virtualMillis = 0
  for (const scenario of scenarios) {
    const outcome = Simulation.runStandard(scenario)
    operations += outcome.operations.length
    virtualMillis += outcome.virtualMillis
    for (const [name, count] of outcome.faults) faults.set(name, (faults.get(name) ?? 0) + count)
    if (outcome.violations.length > 0) broken.push({ scenario, violations: outcome.violations.slice(0, 20) })
  }
  // Whoever asked for them may have been stopped meanwhile, and nobody has noticed that yet.
  if (process.connected) process.send({ scenarios, operations, virtualMillis, faults, broken }, () => undefined)
})
