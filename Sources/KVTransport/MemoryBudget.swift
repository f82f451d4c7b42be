import Synchronization

/// Memory that many hold together, up to a limit.
///
/// **Concurrency**: any thread.
public final class MemoryBudget: Sendable {
  /// The most bytes that ``take(_:)`` gives out, all together.
  public let limit: Int
  private let used = Atomic<Int>(0)

  /// A budget of `limit` bytes.
  public init(limit: Int) { self.limit = limit }

  /// The bytes given out and not given back.
  public var usedBytes: Int { used.load(ordering: .relaxed) }

  /// Counts `byteCount` more bytes as held.
  ///
  /// - Returns: false when that is more than there is; they count all the same until given back.
  public func take(_ byteCount: Int) -> Bool {
    used.add(byteCount, ordering: .relaxed).newValue <= limit
  }

  /// Counts `byteCount` bytes as held no more.
  public func giveBack(_ byteCount: Int) { used.subtract(byteCount, ordering: .relaxed) }
}

/// What one holder has of a budget; given back when nobody refers to it any more.
public final class MemoryShare: Sendable {
  private let budget: MemoryBudget
  private let held = Atomic<Int>(0)

  /// A share of `budget` with nothing in it.
  public init(of budget: MemoryBudget) { self.budget = budget }

  /// Holds `byteCount` bytes from now on, instead of what it held.
  ///
  /// - Returns: false when that is more than there is.
  @discardableResult
  public func hold(_ byteCount: Int) -> Bool {
    let before = held.exchange(byteCount, ordering: .relaxed)
    guard byteCount > before else {
      budget.giveBack(before - byteCount)
      return true
    }
    return budget.take(byteCount - before)
  }

  /// Holds `byteCount` bytes more.
  ///
  /// - Returns: false when that is more than there is.
  public func add(_ byteCount: Int) -> Bool {
    held.add(byteCount, ordering: .relaxed)
    return budget.take(byteCount)
  }

  deinit { budget.giveBack(held.load(ordering: .relaxed)) }
}
