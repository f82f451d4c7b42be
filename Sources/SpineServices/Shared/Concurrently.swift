/// Runs `body` for all elements at once; the results come in the elements' order.
///
/// For a handful of elements: the caller bounds how many.
func concurrently<Element: Sendable, Output: Sendable>(
  _ elements: [Element],
  _ body: @escaping @Sendable (Element) async throws(SpineError) -> Output
) async -> [Result<Output, SpineError>] {
  await withTaskGroup(of: (Int, Result<Output, SpineError>).self) { group in
    for (index, element) in elements.enumerated() {
      group.addTask {
        do throws(SpineError) {
          return (index, .success(try await body(element)))
        } catch {
          return (index, .failure(error))
        }
      }
    }
    let results = await group.reduce(into: []) { $0.append($1) }
    return results.sorted { $0.0 < $1.0 }.map(\.1)
  }
}
