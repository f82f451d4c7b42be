import KVModel

/// A part of a cover that has not been told to its end: who tells it, and how far that has come.
///
/// All vnodes tell what they hold in the same order, so another one can go on after `cursor`.
///
/// **Source**: reference section 4.8.
struct OpenPart<Cursor: Sendable>: Sendable {
  /// How often a part may change its vnode without a page from any.
  static var replacementLimit: Int { 8 }

  /// The vnode, and the key ranges that it is to tell.
  let part: CoveragePlan.Part
  /// What was told last of these ranges; nil at the beginning.
  private(set) var cursor: Cursor?
  /// Vnodes that could not tell the part.
  private var avoided: [CoveragePlan.Vnode] = []
  private var replacements = 0

  /// A part of which everything after `cursor` is to be told.
  init(_ part: CoveragePlan.Part, after cursor: Cursor? = nil) {
    self.part = part
    self.cursor = cursor
  }

  /// Takes in that the vnode has told everything up to `cursor`.
  mutating func advance(to cursor: Cursor) {
    self.cursor = cursor
    avoided = []
    replacements = 0
  }

  /// True while the vnode can be reached and owns its partition.
  func isAtHome(in view: ClusterView) -> Bool {
    part.partition.index < view.ring.size && view.isAvailable(part.node)
      && view.ring.owner(of: part.partition) == part.node
  }

  /// The parts that take this one over, for keys with `n` replicas; nil when nobody can.
  func replaced(n: Int, in view: ClusterView) -> [OpenPart]? {
    guard replacements < Self.replacementLimit else { return nil }
    let vnode = CoveragePlan.Vnode(partition: part.partition, node: part.node)
    let tried = avoided + [vnode]
    var parts = CoveragePlan.parts(instead: part, avoiding: tried, n: n, in: view)
    // When every replica has been tried they are tried again: some may only have been slow.
    let isSecondTry = parts == nil
    if isSecondTry { parts = CoveragePlan.parts(instead: part, avoiding: [], n: n, in: view) }
    return parts?.map { part in
      var open = OpenPart(part, after: cursor)
      open.avoided = isSecondTry ? [] : tried
      open.replacements = replacements + 1
      return open
    }
  }
}
