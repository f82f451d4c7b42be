import Foundation
import KVBase
import Testing

@testable import KVStorage

@Suite struct BlockCacheTests {
  private func block(_ byteCount: Int = 900) throws -> Block {
    var builder = BlockBuilder(restartInterval: 1)
    Bytes(repeating: 7, count: byteCount).withRaw { key in
      builder.append(
        EntryView(
          key: key, value: RawBytes(start: nil, count: 0), headByteCount: 0, sequence: 1, kind: .put
        ))
    }
    let bytes = builder.finish()
    let memory = Block.allocate(bytes.count)
    memory.copyMemory(from: bytes)
    return try #require(
      Block(adopting: RawBytes(start: memory.baseAddress, count: bytes.count), as: .data))
  }

  @Test func `the cache keeps to its limit and to what is used`() throws {
    let cache = BlockCache(byteLimit: 64 << 10)
    let blocks = try (0..<400).map { _ in try block() }
    for (index, block) in blocks.enumerated() {
      cache.insert(block, for: .init(file: 1, offset: index))
      _ = cache.find(.init(file: 1, offset: 0))
      #expect(cache.byteCount <= 64 << 10)
    }
    cache.checkInvariants()
    #expect(cache.byteCount > 60 << 10)
    #expect(cache.find(.init(file: 1, offset: 0)) === blocks[0])
    #expect(cache.find(.init(file: 1, offset: 399)) === blocks[399])
    #expect(cache.find(.init(file: 2, offset: 0)) == nil)
    #expect(cache.hitCount + cache.missCount == 403)
  }

  @Test func `a scan of many blocks leaves the hot ones in place`() throws {
    let cache = BlockCache(byteLimit: 1 << 20)
    let hot = (0..<500).map { BlockCache.Key(file: 1, offset: $0 * 4096) }
    for _ in 0..<2 {
      for key in hot where cache.find(key) == nil { cache.insert(try block(), for: key) }
    }
    for key in hot { _ = cache.find(key) }
    for offset in 0..<20_000 {
      cache.insert(try block(), for: .init(file: 2, offset: offset * 4096))
    }
    cache.checkInvariants()
    let kept = hot.count { cache.find($0) != nil }
    #expect(kept == hot.count, "\(kept) of \(hot.count) are left")
  }

  @Test func `a block that comes back soon is kept like a used one`() throws {
    let cache = BlockCache(byteLimit: 256 << 10)
    func fill(_ range: Range<Int>) throws {
      for offset in range { cache.insert(try block(), for: .init(file: 3, offset: offset)) }
    }
    let key = BlockCache.Key(file: 1, offset: 0)
    try fill(0..<300)
    cache.insert(try block(), for: key)
    try fill(300..<560)
    #expect(cache.find(key) == nil)
    cache.insert(try block(), for: key)
    try fill(560..<1000)
    #expect(cache.find(key) != nil)
  }

  @Test func `blocks that do not fit are not kept`() throws {
    let none = BlockCache(byteLimit: 0)
    none.insert(try block(), for: .init(file: 1, offset: 0))
    #expect(none.byteCount == 0)
    let small = BlockCache(byteLimit: 4096)
    small.insert(try block(5000), for: .init(file: 1, offset: 0))
    #expect(small.byteCount == 0)
    small.checkInvariants()
  }

  @Test func `random use keeps the parts in order`() throws {
    let cache = BlockCache(byteLimit: 3 << 20)
    var random = SeededRandom(seed: 8)
    let blocks = try (0..<64).map { _ in try block(1 + random.below(20_000)) }
    for step in 0..<20_000 {
      let index = random.below(random.chance(0.5) ? 100 : 5000)
      let key = BlockCache.Key(file: UInt64(index % 7), offset: index)
      if let found = cache.find(key) {
        #expect(found === blocks[index % 64])
      } else {
        cache.insert(blocks[index % 64], for: key, lasting: index % 13 == 0)
      }
      if step % 1000 == 0 { cache.checkInvariants() }
    }
    #expect(cache.hitCount > 5000)
  }

  @Test func `threads may share the cache`() throws {
    let cache = BlockCache(byteLimit: 1 << 20)
    let blocks = try (0..<16).map { _ in try block() }
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      var random = SeededRandom(seed: UInt64(thread))
      for _ in 0..<20_000 {
        let index = random.below(3000)
        let key = BlockCache.Key(file: 1, offset: index)
        if let found = cache.find(key) {
          if found !== blocks[index % 16] { Issue.record("a block of another key") }
        } else {
          cache.insert(blocks[index % 16], for: key)
        }
      }
    }
    cache.checkInvariants()
  }
}
