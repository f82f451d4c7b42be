import KVBase
import KVCluster

/// What a shard's clock can call for in anti-entropy.
enum EntropyDeadline: Hashable {
  /// The next step of a build of trees.
  case build
  /// The next comparison.
  case tick
  /// An answer, or the end of a pause.
  case exchange(OperationID, number: UInt32, isPause: Bool)
  /// A fold's end is due.
  case fold(OperationID)
}

/// The anti-entropy of one shard: whose turn it is, and the exchanges under way.
struct EntropyState {
  var schedule = EntropySchedule()
  /// Which group each key belongs to, by the latest view.
  var placement: KeyPlacement?
  var exchanges: [OperationID: EntropyExchange] = [:]
  var folds: [OperationID: FoldOperation] = [:]
  /// What may be done for the exchanges of others.
  var budget: EntropyBudget
  /// Damage that is being fetched again.
  var repair: DamageRepair?
  /// True while the next step of a build is planned.
  var isBuilding = false

  init(scansPerSecond: Int) { budget = EntropyBudget(perSecond: scansPerSecond) }

  func isLive(_ deadline: EntropyDeadline) -> Bool {
    switch deadline {
    case .build, .tick: true
    case .fold(let operation): folds[operation] != nil
    case .exchange(let operation, let number, _): exchanges[operation]?.number == number
    }
  }
}
