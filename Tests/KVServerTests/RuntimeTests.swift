import Glibc
import KVBase
import KVCluster
import Synchronization
import Testing

@testable import KVServer

@Suite struct MailboxTests {
  @Test func `a full mailbox refuses, but not what is forced`() {
    let mailbox = Mailbox<Int>(limit: 2, byteLimit: 100)
    #expect(mailbox.post(1))
    #expect(mailbox.post(2))
    #expect(!mailbox.post(3))
    mailbox.force(4)
    var batch: [Int] = []
    mailbox.drain(into: &batch, until: SystemClock.instant())
    #expect(batch == [1, 2, 4])
    #expect(mailbox.counts.refused == 1)
    #expect(mailbox.post(5))
  }

  @Test func `a closed mailbox gives back what waited and takes nothing more`() {
    let mailbox = Mailbox<Int>(limit: 2, byteLimit: 100)
    #expect(mailbox.post(1))
    #expect(mailbox.close() == [1])
    #expect(!mailbox.post(2))
  }

  @Test func `bytes are limited, except for a first item larger than the limit`() {
    let mailbox = Mailbox<Int>(limit: 10, byteLimit: 100)
    #expect(mailbox.post(1, byteCount: 500))
    #expect(!mailbox.post(2, byteCount: 1))
    var batch: [Int] = []
    mailbox.drain(into: &batch, until: SystemClock.instant())
    #expect(mailbox.post(3, byteCount: 60))
    #expect(!mailbox.post(4, byteCount: 60))
  }

  @Test func `draining sleeps until the instant and no longer`() {
    let mailbox = Mailbox<Int>(limit: 1, byteLimit: 1)
    let began = SystemClock.instant()
    var batch = [9]
    mailbox.drain(into: &batch, until: began + .milliseconds(30))
    let waited = SystemClock.instant() - began
    #expect(batch.isEmpty)
    #expect(waited >= .milliseconds(29))
    #expect(waited < .seconds(5))
  }

  @Test func `items of several threads all arrive, those of each in order`() {
    let mailbox = Mailbox<Int>(limit: 100_000, byteLimit: .max)
    for thread in 0..<4 {
      startThread("post-\(thread)") {
        for number in 0..<5_000 { #expect(mailbox.post(thread * 10_000 + number)) }
      }
    }
    var last = [-1, -1, -1, -1]
    var batch: [Int] = []
    var count = 0
    while count < 20_000 {
      mailbox.drain(into: &batch, until: SystemClock.instant() + .seconds(10))
      guard !batch.isEmpty else { break }
      for item in batch {
        #expect(item % 10_000 == last[item / 10_000] + 1)
        last[item / 10_000] = item % 10_000
      }
      count += batch.count
    }
    #expect(count == 20_000)
  }

  @Test func `an item offered to an idle mailbox is the caller's to serve, others wait meanwhile`()
  {
    let mailbox = Mailbox<Int>(limit: 10, byteLimit: 100)
    let now = SystemClock.instant()
    var batch: [Int] = []
    // Who drains has the right before and after.
    #expect(mailbox.offer(1, byteCount: 0, at: now) == .posted)
    mailbox.drain(into: &batch, until: .distantFuture)
    #expect(mailbox.offer(2, byteCount: 0, at: now) == .posted)
    mailbox.release(next: .distantFuture, pause: nil)
    #expect(mailbox.offer(3, byteCount: 0, at: now) == .posted, "behind another")
    mailbox.drain(into: &batch, until: .distantFuture)
    #expect(batch == [2, 3])
    mailbox.release(next: .distantFuture, pause: nil)
    #expect(mailbox.offer(4, byteCount: 0, at: now) == .taken)
    #expect(mailbox.offer(5, byteCount: 0, at: now) == .posted)
    mailbox.takeMore(into: &batch, limit: 10)
    #expect(batch == [5])
    mailbox.release(next: .distantFuture, pause: nil)
    #expect(mailbox.offer(6, byteCount: 0, at: now) == .taken)
  }

  @Test func `while a pause lasts, only the draining thread serves`() {
    let mailbox = Mailbox<Int>(limit: 10, byteLimit: 100)
    var batch: [Int] = []
    let now = SystemClock.instant()
    mailbox.drain(into: &batch, until: now)
    mailbox.release(next: .distantFuture, pause: now + .seconds(1))
    #expect(mailbox.offer(1, byteCount: 0, at: now) == .posted)
    mailbox.drain(into: &batch, until: .distantFuture)
    mailbox.release(next: .distantFuture, pause: nil)
    #expect(mailbox.offer(2, byteCount: 0, at: now + .seconds(2)) == .taken)
  }

  @Test func `a release with an earlier time wakes the draining thread by it`() {
    let mailbox = Mailbox<Int>(limit: 10, byteLimit: 100)
    let woken = Latch()
    startThread("drain") {
      var batch: [Int] = []
      repeat { mailbox.drain(into: &batch, until: .distantFuture) } while !batch.isEmpty
      woken.open()
    }
    // Posted while the thread is not asleep yet.
    while mailbox.offer(1, byteCount: 0, at: SystemClock.instant()) != .taken { usleep(100) }
    mailbox.release(next: SystemClock.instant() + .milliseconds(5), pause: nil)
    #expect(woken.wait(until: SystemClock.instant() + .seconds(10)))
  }

  @Test func `one thread serves at a time, and every item is served once`() {
    let mailbox = Mailbox<Int>(limit: 100_000, byteLimit: .max)
    let serving = Atomic<Int>(0)
    let served = Atomic<Int>(0)
    let direct = Atomic<Int>(0)
    @Sendable func serve(_ count: Int) {
      #expect(serving.wrappingAdd(1, ordering: .relaxed).oldValue == 0)
      served.wrappingAdd(count, ordering: .relaxed)
      serving.wrappingSubtract(1, ordering: .relaxed)
    }
    let finished = Latch()
    startThread("drain") {
      var batch: [Int] = []
      let end = SystemClock.instant() + .seconds(30)
      while served.load(ordering: .relaxed) < 40_000, SystemClock.instant() < end {
        mailbox.drain(into: &batch, until: SystemClock.instant() + .milliseconds(100))
        serve(batch.count)
      }
      finished.open()
    }
    for thread in 0..<4 {
      startThread("offer-\(thread)") {
        for number in 0..<10_000 {
          switch mailbox.offer(number, byteCount: 0, at: SystemClock.instant()) {
          case .taken:
            direct.wrappingAdd(1, ordering: .relaxed)
            serve(1)
            mailbox.release(next: SystemClock.instant() + .milliseconds(100), pause: nil)
          case .posted: break
          case .refused: Issue.record("refused")
          }
          if number % 100 == 0 { usleep(50) }
        }
      }
    }
    #expect(finished.wait(until: .distantFuture))
    #expect(served.load(ordering: .relaxed) == 40_000)
    #expect(direct.load(ordering: .relaxed) > 0)
  }
}

@Suite struct LatencyHistogramTests {
  @Test func `quantiles are within a sixteenth of the truth`() {
    var histogram = LatencyHistogram()
    for value in 1...100_000 { histogram.record(microseconds: UInt64(value)) }
    for (quantile, truth) in [(0.5, 50_000.0), (0.95, 95_000), (0.99, 99_000), (0.999, 99_900)] {
      let found = Double(histogram.value(atQuantile: quantile))
      #expect(found >= truth && found <= truth * 1.0626, "\(quantile): \(found)")
    }
    #expect(histogram.maximum == 100_000)
    #expect(histogram.mean == 50_000)
  }

  @Test func `huge values and none are no trouble`() {
    var histogram = LatencyHistogram()
    #expect(histogram.value(atQuantile: 0.99) == 0)
    histogram.record(microseconds: .max)
    histogram.record(microseconds: 0)
    #expect(histogram.value(atQuantile: 0.1) == 0)
  }

  @Test func `a window forgets what is older than about a minute`() {
    var window = LatencyWindow()
    for second in 0..<100 { window.record(microseconds: 5, atSecond: UInt64(1000 + second)) }
    let count = window.lastMinute(atSecond: 1099).count
    #expect(count >= 60 && count <= 70)
    #expect(window.lastMinute(atSecond: 5000).count == 0)
    #expect(window.totalCount == 100)
  }
}

@Suite struct PeerFrameTests {
  @Test func `a hello and a message have exactly these bytes`() throws {
    let hello = PeerHello(
      format: 1, node: NodeID(rawValue: 0x0102_0304_0506_0708), name: "a@h",
      endpoint: Endpoint(host: "h", port: 8099))
    #expect(
      PeerFrame.encode(hello) == [
        1, 0x53, 0x4B, 0x56, 0x50, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 3, 0x61, 0x40, 0x68, 1, 0x68, 0x1F,
        0xA3, 0, 1, 0, 3,
      ])
    let frame = PeerFrame.encode(
      [9, 9], target: NodeID(rawValue: 5), shard: ShardIndex(2), from: ShardIndex(1))
    #expect(frame == [2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 2, 0, 1, 9, 9])
    guard
      case .message(let target, let shard, let source, let message) = try PeerFrame(
        decoding: frame)
    else {
      Issue.record("not a message")
      return
    }
    #expect(target == NodeID(rawValue: 5))
    #expect(shard == ShardIndex(2) && source == ShardIndex(1) && message == [9, 9])
  }

  @Test func `no damaged frame is accepted as a hello or crashes the reader`() {
    let whole = PeerFrame.encode(
      PeerHello(
        format: 1, node: NodeID(rawValue: 1), name: "n", endpoint: Endpoint(host: "h", port: 1)))
    // The first release's hello ends before the range of protocols.
    for count in whole.indices where count != whole.count - 4 {
      #expect(throws: DecodingFailure.self) { try PeerFrame(decoding: Array(whole.prefix(count))) }
    }
    #expect(throws: DecodingFailure.self) { try PeerFrame(decoding: [7]) }
  }

  @Test func `the highest protocol that both speak is used, the first with the first release`()
    throws
  {
    let hello = PeerHello(
      format: 1, node: NodeID(rawValue: 1), name: "n", endpoint: Endpoint(host: "h", port: 1))
    let whole = PeerFrame.encode(hello)
    guard case .hello(let now) = try PeerFrame(decoding: whole),
      case .hello(let first) = try PeerFrame(decoding: Array(whole.dropLast(4)))
    else {
      Issue.record("not a hello")
      return
    }
    #expect(now.agreedProtocol == PeerProtocol.latest)
    #expect(first.agreedProtocol == 1)
    var later = hello
    later.speaks = 2...9
    #expect(later.agreedProtocol == PeerProtocol.latest)
    later.speaks = (PeerProtocol.latest + 1)...9
    #expect(later.agreedProtocol == nil)
    later = hello
    later.format = 2
    #expect(later.agreedProtocol == nil)
  }
}
