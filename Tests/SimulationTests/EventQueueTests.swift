import KVBase
import Testing

@testable import KVSimulator

@Suite struct EventQueueTests {
  @Test func `events come by time, those of one time in the order they were scheduled`() {
    for seed in 0..<20 as Range<UInt64> {
      var random = SeededRandom(seed: seed)
      var queue = EventQueue<Int>()
      var model: [(time: UInt64, event: Int)] = []
      for event in 0..<200 {
        let time = UInt64(random.below(20))
        queue.schedule(event, at: time)
        model.append((time, event))
      }
      model.sort { ($0.time, $0.event) < ($1.time, $1.event) }
      for expected in model {
        let next = queue.takeNext()
        #expect(next?.time == expected.time)
        #expect(next?.event == expected.event)
      }
      #expect(queue.takeNext() == nil)
    }
  }

  @Test func `an event for the past is due at once`() {
    var queue = EventQueue<String>()
    queue.schedule("first", at: 10)
    _ = queue.takeNext()
    queue.schedule("late", at: 3)
    #expect(queue.nextTime == 10)
    #expect(queue.count == 1)
  }
}

@Suite struct SimulatedClockTests {
  @Test func `the world's time of a deadline is the first at which the clock shows it`() {
    var random = SeededRandom(seed: 1)
    for _ in 0..<1000 {
      var clock = SimulatedClock(
        driftPartsPerMillion: random.below(401) - 200, wallOffsetMicroseconds: 0)
      clock.restart(at: UInt64(random.below(1_000_000_000)), instant: random.next() >> 16)
      let start = clock.worldTime(of: Instant(nanoseconds: 0))
      let deadline =
        clock.now(at: start).instant + .nanoseconds(random.below(100_000_000_000))
      let due = clock.worldTime(of: deadline)
      #expect(clock.now(at: due).instant >= deadline)
      if due > start { #expect(clock.now(at: due - 1).instant < deadline) }
    }
  }

  @Test func `a deadline that never comes stays in the future`() {
    let clock = SimulatedClock(driftPartsPerMillion: 200, wallOffsetMicroseconds: 0)
    #expect(clock.worldTime(of: .distantFuture) == .max)
  }

  @Test func `the wall clock is off by its offset`() {
    var clock = SimulatedClock(driftPartsPerMillion: 0, wallOffsetMicroseconds: 0)
    let right = clock.now(at: 5_000).wallClock.microseconds
    clock.wallOffsetMicroseconds = -7
    #expect(clock.now(at: 5_000).wallClock.microseconds == right - 7)
  }
}
