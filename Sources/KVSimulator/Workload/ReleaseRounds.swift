import KVBase

/// How far the rounds of the workload `releases` have come.
///
/// A round is about one prescription. First all clients race to issue it, then all race to release
/// what was issued. When all of them have been answered or have given up, the key is read: a step
/// that nobody has made by then is raced for again.
struct ReleaseRounds {
  /// What the clients race for.
  enum Stage {
    /// The put if there is none.
    case issue
    /// The put over the version that was issued.
    case release
  }

  /// How a round ended.
  struct Winners: Equatable {
    /// The operation that issued the prescription.
    var issue: Int
    /// The operation that released it.
    var release: Int
  }

  /// The rounds of a run.
  let count: Int
  /// The rounds that have ended, by key.
  var finished: [Winners] = []
  /// What is raced for now.
  var stage = Stage.issue
  /// The clients that have not finished this attempt.
  var racing = 0
  /// How often the present step has been raced for.
  var attempts = 0
  /// What was issued in the present round.
  var issued: Client.HeldRegister?

  init(count: Int) { self.count = count }

  /// The key of the present round.
  var key: Int { finished.count }
  /// True when every round has ended.
  var isOver: Bool { finished.count >= count }
}
