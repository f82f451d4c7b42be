import KVBase
import KVModel
import Testing

@testable import KVSimulator

/// The search must accept what a register could have answered, and nothing else.
@Suite struct LinearizabilityTests {
  private struct Answer {
    var kind: RegisterHistory.Kind
    var start: UInt64
    var end: UInt64
    var outcome: RegisterHistory.Outcome
  }

  private func isLinearizable(_ answers: [Answer]) -> Bool? {
    var history = RegisterHistory()
    for answer in answers {
      let number = history.begin(answer.kind, key: 0, at: answer.start)
      history.end(number, answer.outcome, at: answer.end)
    }
    return history.isLinearizable(0)
  }

  private func create(_ start: UInt64, _ end: UInt64, won: Bool = true) -> Answer {
    Answer(
      kind: .create, start: start, end: end,
      outcome: won ? .done(observed: nil) : .refused(.matchFound))
  }

  private func read(_ start: UInt64, _ end: UInt64, _ observed: Int?) -> Answer {
    Answer(kind: .read, start: start, end: end, outcome: .done(observed: observed))
  }

  @Test func `one of two that race wins`() {
    #expect(isLinearizable([create(0, 9), create(1, 8, won: false), read(10, 11, 1)]) == true)
    #expect(isLinearizable([create(0, 9), create(1, 8)]) == false)
    #expect(isLinearizable([create(0, 9, won: false), create(1, 8, won: false)]) == false)
  }

  @Test func `a read shows the latest write, or one that overlaps it`() {
    #expect(isLinearizable([create(0, 5), read(6, 7, nil)]) == false)
    #expect(isLinearizable([create(0, 5), read(4, 7, nil)]) == true)
    #expect(isLinearizable([create(0, 5), read(1, 2, 1), read(3, 4, nil)]) == false)
  }

  @Test func `an update takes place over what it expects only`() {
    func update(_ expected: Int, _ start: UInt64, _ outcome: RegisterHistory.Outcome) -> Answer {
      Answer(kind: .update(expected: expected), start: start, end: start + 1, outcome: outcome)
    }
    #expect(
      isLinearizable([
        create(0, 1), update(1, 2, .done(observed: nil)), update(1, 4, .refused(.modified)),
        read(6, 7, 2),
      ]) == true)
    #expect(
      isLinearizable([
        create(0, 1), update(1, 2, .done(observed: nil)), update(1, 4, .done(observed: nil)),
      ]) == false)
    #expect(isLinearizable([create(0, 1), update(1, 2, .refused(.failed))]) == false)
  }

  @Test func `an operation of unknown outcome may take place late, or never`() {
    func unknown(_ start: UInt64) -> Answer {
      Answer(kind: .create, start: start, end: start + 1, outcome: .unknown)
    }
    #expect(isLinearizable([unknown(0), read(5, 6, nil), read(7, 8, 1)]) == true)
    #expect(isLinearizable([unknown(0), read(5, 6, nil), read(7, 8, nil)]) == true)
    #expect(isLinearizable([unknown(0), read(5, 6, 1), read(7, 8, nil)]) == false)
    #expect(isLinearizable([unknown(4), read(2, 3, 1)]) == false)
  }

  @Test func `a delete that found nothing may also have erased a later write`() {
    let delete = Answer(
      kind: .delete(expected: nil), start: 0, end: 20, outcome: .done(observed: nil))
    #expect(isLinearizable([delete, read(1, 2, nil), create(3, 5), read(6, 9, nil)]) == true)
    #expect(isLinearizable([delete, create(3, 5), read(6, 9, 2), read(21, 22, nil)]) == true)
    #expect(isLinearizable([delete, create(3, 5), read(21, 22, 2), read(23, 24, nil)]) == false)
  }

  @Test func `two winners of one step are found without a search`() throws {
    var history = RegisterHistory()
    for _ in 0..<2 {
      let number = history.begin(.update(expected: 7), key: 3, at: 0)
      history.end(number, .done(observed: nil), at: 1)
    }
    #expect(throws: SimulationFailure.self) { try history.checkWinners(of: 3) }
  }
}
