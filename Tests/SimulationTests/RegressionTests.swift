import KVSimulator
import Testing

/// Seeds that once found a bug, with its story.
///
/// A seed's run changes whenever the simulator or the
/// code under it draws differently, so a seed is a memory of the bug, not a proof against it; where
/// a bug can be told in a few steps, a unit test does that too.
@Suite struct RegressionTests {
  struct Story: CustomTestStringConvertible {
    var seed: UInt64
    var workload: Workload
    /// The kinds of faults, where the seed's own would hide the bug.
    var faults: [FaultKind]?
    var testDescription: String
  }

  static let stories = [
    Story(
      seed: 1, workload: .writes,
      testDescription: "the timer of a starting shard fired for ever"),
    Story(
      seed: 51, workload: .membership,
      testDescription: "an exiting node that was started again never left"),
    Story(
      seed: 146, workload: .deletes,
      testDescription: "a put that the coordinator had stored was answered with overload"),
    Story(
      seed: 1062, workload: .membership,
      testDescription: "a claimant forgot a ring that it had announced before it was durable"),
    Story(
      seed: 2083, workload: .deletes,
      testDescription: "a put whose time was up already was due for ever"),
    Story(
      seed: 2015, workload: .mixed,
      testDescription: "a node that had left acknowledged changes of properties"),
    Story(
      seed: 17, workload: .conditional,
      testDescription: "two seats whose holder was cut off waited for each other for ever"),
    Story(
      seed: 60, workload: .conditional,
      testDescription: "a seat made anew took the founder's generation, which voids nothing"),
    Story(
      seed: 1, workload: .writes, faults: [.fullDisk],
      testDescription: "a shard whose disk had been full took no more writes"),
    Story(
      seed: 11, workload: .disks,
      testDescription: "a claimant that had lost its disk could not join its own cluster again"),
    Story(
      seed: 381, workload: .writes,
      testDescription: "a recovery named a segment whose footer was not on disk yet"),
    Story(
      seed: 49, workload: .crowd,
      testDescription: "a member that had lost its disk wrote without the properties of buckets"),
    Story(
      seed: 74, workload: .listing,
      testDescription: "a put was acknowledged before the one flush it had asked for"),
    Story(
      seed: 91, workload: .entropy,
      testDescription: "a refused repair waited for the disk out of its turn"),
    Story(
      seed: 285, workload: .disks,
      testDescription: "a burial forgot the events of trimmed clocks"),
    Story(
      seed: 610, workload: .handoff,
      testDescription: "a node forgot what its peers speak when they said so while it started"),
    Story(
      seed: 969, workload: .handoff,
      testDescription: "a next owner that had not heard of it acknowledged a batch and sent it back"
    ),
    Story(
      seed: 4158, workload: .handoff,
      testDescription: "an emptied member beside old peers wrote without the properties"),
    Story(
      seed: 4509, workload: .handoff,
      testDescription: "a read of an old and a trimmed copy showed what had been replaced"),
    Story(
      seed: 5350, workload: .handoff,
      testDescription: "the same for a read whose first answer was a second old"),
    Story(
      seed: 4908, workload: .handoff,
      testDescription: "what replicas brought back to a sender was not sent on to the next owner"),
    Story(
      seed: 6362, workload: .handoff,
      testDescription: "the same while the last comparison was under way"),
    Story(
      seed: 8214, workload: .handoff,
      testDescription: "a node took a hint after it had said that it was ready to leave"),
    Story(
      seed: 3202, workload: .membership,
      testDescription: "a join that a former claimant had staged could not be asked for again"),
    Story(
      seed: 6238, workload: .mixed,
      testDescription: "a change of properties left the cluster with the node that acknowledged it"),
    Story(
      seed: 43, workload: .types,
      testDescription: "a removal was forgotten that came before what it removes"),
    Story(
      seed: 652, workload: .types,
      testDescription: "changes of a data type piled up as siblings and took too long to hand off"),
    Story(
      seed: 1848, workload: .indexes,
      testDescription: "the simulator demanded a write while a hasty detector was in error"),
    Story(
      seed: 2007, workload: .listing,
      testDescription: "what queries of lost askers held made a shard refuse others"),
    Story(
      seed: 1783, workload: .listing,
      testDescription: "what queries of lost askers held made a shard refuse others, again"),
  ]

  @Test(arguments: stories)
  func `a bug found once stays away`(_ story: Story) {
    var options = Simulation.Options()
    options.workload = story.workload
    options.faults = story.faults
    var simulation = Simulation(seed: story.seed, options: options)
    expectClean(simulation.run())
  }
}
