/// What a run was made of: everything about it that a smaller run could have less of.
public struct RunSize: Hashable, Sendable {
  /// The nodes that form the cluster at first.
  public var nodes = 0
  /// The clients.
  public var clients = 0
  /// The keys of the bucket that keeps siblings.
  public var keys = 0
  /// How long the clients are at work, in virtual seconds.
  public var seconds = 0
  /// The requests they sent.
  public var requests = 0
  /// The kinds of faults that may have occurred.
  public var faults: [FaultKind] = []
  /// The rare paths that were turned on.
  public var rarePaths: [RarePath] = []

  /// Nothing.
  public init() {}

  init(
    nodes: Int, clients: Int, keys: Int, seconds: Int, requests: Int, faults: [FaultKind],
    rarePaths: [RarePath]
  ) {
    self.nodes = nodes
    self.clients = clients
    self.keys = keys
    self.seconds = seconds
    self.requests = requests
    self.faults = faults
    self.rarePaths = rarePaths
  }
}
