import KVBase
import KVModel

/// The listing of keys and the repair of those that differ.
extension EntropyExchange {
  // MARK: Listing

  /// Asks for the other side's objects in the range of the own page, which is read first.
  mutating func list(_ trees: TreeKeeper, _ actions: inout [Action]) {
    guard !isListed else { return finish(&actions) }
    stage = .listing
    if ownPage == nil {
      do throws(ReplicaStoreFailure) {
        ownPage = try trees.page(of: group, in: partition, leaves, after: cursor, through: nil)
      } catch {
        return actions.append(.finished(.refused(.storage)))
      }
    }
    ask(.entries(leaves, after: cursor, through: ownPage?.through), &actions)
  }

  /// Compares two lists of the same range, both in key order, and drops what is compared.
  mutating func compare(
    _ page: EntropyPage, _ trees: TreeKeeper, _ actions: inout [Action]
  ) {
    guard let own = ownPage else { return actions.append(.finished(.unresolved)) }
    let through = page.through ?? own.through
    // A peer that does not get ahead would be asked for ever.
    if let through, let cursor, !(cursor < through) {
      return actions.append(.finished(.unresolved))
    }
    let end = through.map { through in own.entries.firstIndex { through < $0.key } } ?? nil
    let compared = own.entries[..<(end ?? own.entries.count)]
    differences = Self.differences(between: compared, and: page.entries[...])
    differingCount += differences.count
    cursor = through
    isListed = through == nil || (damage != nil && page.through == nil)
    // The other side may have had more objects there than one page goes through.
    ownPage =
      page.through == nil || through == own.through
      ? nil : EntropyPage(entries: Array(own.entries[compared.endIndex...]), through: own.through)
    stage = .pausing
    // Many differences at once are no writes on their way.
    let isFew = !differences.isEmpty && differences.count < EntropyLimits.batchKeys
    pause(isFew ? pace.confirmation : pace.page, &actions)
  }

  static func differences(
    between own: ArraySlice<EntropyEntry>, and other: ArraySlice<EntropyEntry>
  ) -> [Difference] {
    var (own, other) = (own, other)
    var found: [Difference] = []
    while let a = own.first ?? other.first {
      let b = other.first ?? a
      if !own.isEmpty, other.isEmpty || a.key < b.key {
        found.append(Difference(key: a.key, own: own.removeFirst(), other: nil))
      } else if !other.isEmpty, own.isEmpty || b.key < a.key {
        found.append(Difference(key: b.key, own: nil, other: other.removeFirst()))
      } else {
        let pair = (own.removeFirst(), other.removeFirst())
        if pair.0.hash != pair.1.hash {
          found.append(Difference(key: a.key, own: pair.0, other: pair.1))
        }
      }
    }
    return found
  }

  // MARK: Repair

  /// Reads the next differing keys at the other side once more, with the objects missing here.
  mutating func fetch(_ trees: TreeKeeper, _ actions: inout [Action]) {
    stage = .fetching
    let wanted = differences.prefix(EntropyLimits.batchKeys).map {
      EntropyWanted(key: $0.key, wantsObject: $0.mustPull)
    }
    ask(.fetch(wanted), &actions)
  }

  /// Takes in what is missing here, of the keys that still differ as they were listed.
  mutating func repair(
    _ found: [EntropyFound], _ trees: TreeKeeper, _ actions: inout [Action]
  ) {
    let isAnswer =
      !found.isEmpty && found.count <= differences.count
      && zip(found, differences).allSatisfy { $0.key == $1.key }
    guard isAnswer else { return actions.append(.finished(.unresolved)) }
    var pulled: [ReplicaScan.Entry] = []
    var pushed: [ObjectKey] = []
    for (now, listed) in zip(found, differences) {
      do throws(ReplicaStoreFailure) {
        guard try mustRepair(listed, now, trees) else { continue }
        if damage != nil || listed.mustPull, let encoded = now.encoded {
          pulled.append(ReplicaScan.Entry(key: listed.key, encoded: encoded))
        }
        if try mustPush(listed, trees) { pushed.append(listed.key) }
      } catch {
        return actions.append(.finished(.refused(.storage)))
      }
    }
    differences.removeFirst(found.count)
    guard pulled.isEmpty else {
      stage = .storing(pushed)
      return actions.append(.store(pulled))
    }
    push(pushed, changed: 0, trees, &actions)
  }

  /// True when both sides still hold what was listed; what is damaged here must be stored again anyway.
  private func mustRepair(
    _ listed: Difference, _ now: EntropyFound, _ trees: TreeKeeper
  ) throws(ReplicaStoreFailure) -> Bool {
    guard damage == nil else { return true }
    let own = try trees.hash(of: listed.key, in: partition)
    return own != now.hash && own == listed.own?.hash && now.hash == listed.other?.hash
  }

  /// True when the other side lacks what this one holds of a listed key.
  private func mustPush(
    _ listed: Difference, _ trees: TreeKeeper
  ) throws(ReplicaStoreFailure) -> Bool {
    // What was deleted here for good has a grave, before which an older copy vanishes. Graves may lie
    // in what is damaged, and are then lost with it.
    guard damage == nil else {
      return (try? trees.grave(of: listed.key, in: partition)).flatMap { $0 } != nil
    }
    if listed.mustPush { return true }
    return try trees.grave(of: listed.key, in: partition) != nil
  }

  /// The objects that were missing here are stored; so many of them changed anything.
  public mutating func stored(
    _ changed: Int, _ trees: TreeKeeper, into actions: inout [Action]
  ) {
    guard case .storing(let pushed) = stage else { return }
    repairedCount += changed
    push(pushed, changed: 0, trees, &actions)
  }

  /// Sends the next objects that the other side lacks; those of pulled keys are merged by now.
  mutating func push(
    _ keys: [ObjectKey], changed: Int, _ trees: TreeKeeper, _ actions: inout [Action]
  ) {
    repairedCount += changed
    var entries: [ReplicaScan.Entry] = []
    var byteCount = 0
    var rest = keys[...]
    while byteCount < EntropyLimits.batchBytes, let key = rest.popFirst() {
      do throws(ReplicaStoreFailure) {
        guard let encoded = try trees.objectOrGrave(of: key, in: partition) else { continue }
        entries.append(ReplicaScan.Entry(key: key, encoded: encoded))
        byteCount += encoded.count
      } catch {
        return actions.append(.finished(.refused(.storage)))
      }
    }
    guard !entries.isEmpty else {
      stage = .pausing
      let interval = Duration.seconds(1) * EntropyLimits.batchKeys / max(1, pace.repairsPerSecond)
      return pause(interval, &actions)
    }
    stage = .pushing(Array(rest), changed: 0)
    ask(.push(entries), &actions)
  }

  private func finish(_ actions: inout [Action]) {
    guard damage == nil else { return actions.append(.finished(.repaired)) }
    actions.append(.finished(repairedCount > 0 ? .repaired : .unresolved))
  }
}
