public import KVModel

/// Carries a question to a cover of vnodes, page by page, and keeps the cover complete while vnodes
/// fail and partitions move.
///
/// A part of the cover is *open* until its vnode has said that nothing follows. When the vnode is
/// lost, refuses, stays silent, or no longer owns its partition, other replicas of the same keys
/// take the part over after its last page. All vnodes go through their keys in the same order, so
/// each key is still told once: by whichever vnode came first to it. What is asked, and what a page
/// holds, is the caller's business.
///
/// **Invariants**: 1. the open and the finished parts together cover every key range once; 2. an
/// answer counts only for the question that it was given to, and once.
///
/// **Source**: reference section 4.8.
public struct Coverage: Sendable {
  /// A question to one vnode.
  public struct Question: Hashable, Sendable {
    /// Tells the questions of one cover apart.
    public var number: UInt32
    /// The vnode, and the key ranges that it is to tell.
    public var part: CoveragePlan.Part
    /// The last key that was told of these ranges; nil at the beginning.
    public var cursor: ObjectKey?
  }

  private struct Asked: Sendable {
    var number: UInt32
    var open: OpenPart<ObjectKey>
  }

  /// The most vnodes asked at once.
  public static let window = 4

  private let n: Int
  private var waiting: [OpenPart<ObjectKey>]
  private var asked: [Asked] = []
  private var nextNumber: UInt32 = 0

  /// A cover by `plan` of keys with `n` replicas.
  public init(plan: CoveragePlan, n: Int) {
    self.n = n
    waiting = plan.parts.reversed().map { OpenPart($0) }
  }

  /// True when every part has been told to its end.
  public var isComplete: Bool { waiting.isEmpty && asked.isEmpty }

  /// The questions that may be asked now.
  public mutating func next() -> [Question] {
    var questions: [Question] = []
    while asked.count < Self.window, let open = waiting.popLast() {
      questions.append(
        Question(number: nextNumber, part: open.part, cursor: open.cursor))
      asked.append(Asked(number: nextNumber, open: open))
      nextNumber += 1
    }
    return questions
  }

  /// Takes in that question `number` was answered with a page up to `cursor`, nil for the last.
  ///
  /// False when the question is no longer open: its page must not be used.
  public mutating func answered(_ number: UInt32, cursor: ObjectKey?) -> Bool {
    guard let index = asked.firstIndex(where: { $0.number == number }) else { return false }
    var open = asked.remove(at: index).open
    if let cursor {
      open.advance(to: cursor)
      waiting.append(open)
    }
    return true
  }

  /// Takes in that the vnode asked by question `number` cannot or does not answer.
  ///
  /// False when nobody else can: the cover has come to its end incomplete.
  public mutating func failed(_ number: UInt32, in view: ClusterView) -> Bool {
    guard let index = asked.firstIndex(where: { $0.number == number }) else { return true }
    return replace(asked.remove(at: index).open, in: view)
  }

  /// Replaces vnodes that have become unavailable or lost their partition.
  ///
  /// False when some keys have no available owner.
  public mutating func viewChanged(_ view: ClusterView) -> Bool {
    let lost = asked.filter { !$0.open.isAtHome(in: view) }.map(\.open)
    asked.removeAll { !$0.open.isAtHome(in: view) }
    let stray = waiting.filter { !$0.isAtHome(in: view) }
    waiting.removeAll { !$0.isAtHome(in: view) }
    for open in stray.reversed() + lost where !replace(open, in: view) { return false }
    return true
  }

  private mutating func replace(_ open: OpenPart<ObjectKey>, in view: ClusterView) -> Bool {
    guard let parts = open.replaced(n: n, in: view) else { return false }
    waiting += parts.reversed()
    return true
  }
}
