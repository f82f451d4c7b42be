import KVModel

/// What a handoff makes of the receiver's answers; one to another message changes nothing.
extension HandoffSender {
  /// Takes in the receipt of a batch.
  public mutating func receive(_ receipt: HandoffReceipt, into actions: inout [Action]) {
    guard let index = waiting(receipt.number, receipt.operation),
      case .batch(let isChecked) = pending[index].content
    else { return }
    guard receipt.isAccepted else { return end(.failed("a batch was refused"), into: &actions) }
    let sent = pending[index]
    bytes += sent.byteCount
    settle(index)
    if kind == .hinted {
      objects += sent.entries.count
      actions.append(.remove(sent.entries, areHeads: false))
    } else if isChecked {
      offer(sent.entries, .confirmation, into: &actions)
    } else {
      objects += sent.entries.count
    }
    advance(into: &actions)
  }

  /// Takes in the answer to a comparison.
  public mutating func receive(compared receipt: HandoffReceipt, into actions: inout [Action]) {
    guard let index = waiting(receipt.number, receipt.operation),
      pending[index].content == .comparison
    else { return }
    let compared = pending[index]
    settle(index)
    if receipt.isAccepted {
      found(compared.entries, areHeads: true, into: &actions)
    } else {
      offer(compared.entries, .difference, into: &actions)
      if !hasEnded { pending[pending.count - 1].after = compared.after }
    }
    advance(into: &actions)
  }

  /// Takes in the answer to an offer.
  public mutating func receive(_ wish: HandoffWish, into actions: inout [Action]) {
    guard let index = waiting(wish.number, wish.operation) else { return }
    let offered = pending[index]
    guard let wanted = wish.wanted, wanted.allSatisfy(offered.entries.indices.contains) else {
      return end(.failed("an offer was refused"), into: &actions)
    }
    let missing = wanted.map { offered.entries[$0] }
    var agreed = offered.entries
    for position in wanted.reversed() { agreed.remove(at: position) }
    switch offered.content {
    case .batch, .comparison: return
    case .probe:
      settle(index)
      phase = 2 * missing.count >= offered.entries.count ? .streaming : .comparing
      found(agreed, areHeads: false, into: &actions)
      if !missing.isEmpty { send(missing, isChecked: kind == .ownership, into: &actions) }
    case .difference:
      settle(index)
      found(agreed, areHeads: true, into: &actions)
      if !isFinal, 2 * missing.count >= offered.entries.count {
        // From here on the receiver has little: to read in order is cheaper than by key.
        phase = .streaming
        cursor = offered.after
        hasReachedEnd = false
      } else {
        if isFinal { differences += missing.count }
        self.missing += missing.map(\.key)
      }
    case .confirmation:
      settle(index)
      guard missing.isEmpty else {
        return end(
          .failed("\(missing.count) acknowledged objects are not there"), into: &actions)
      }
    }
    advance(into: &actions)
  }

  /// The receiver has these without their having been sent now.
  private mutating func found(
    _ entries: [ReplicaScan.Entry], areHeads: Bool, into actions: inout [Action]
  ) {
    guard !entries.isEmpty else { return }
    if kind == .hinted { actions.append(.remove(entries, areHeads: areHeads)) }
    if !isFinal { objects += entries.count }
  }

  private func waiting(_ number: UInt32, _ operation: OperationID) -> Int? {
    guard operation == self.operation, !hasEnded else { return nil }
    return pending.firstIndex { $0.number == number && !$0.isAnswered }
  }

  /// Notes an answer; what is answered leaves the window in order, so that ``resumeKey`` never
  /// skips something that still waits.
  private mutating func settle(_ index: Int) {
    pending[index].isAnswered = true
    pending[index].entries = []
    while let first = pending.first, first.isAnswered {
      if case .batch = first.content, phase == .streaming { resumeKey = first.through }
      pending.removeFirst()
    }
  }
}
