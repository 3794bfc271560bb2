/**
 * Which methods the paths of an API take.
 */
import { HttpApi, type HttpApiGroup } from "effect/http-api"

/** A method, and the path that it is for; a segment that begins with a colon stands for any. */
export interface Route {
  readonly method: string
  readonly path: string
}

/** The routes of an API, and further ones. */
export const of = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
  ...further: ReadonlyArray<Route>
): ReadonlyArray<Route> => {
  const routes: Array<Route> = [...further]
  HttpApi.reflect(api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint: { method, path } }) => void routes.push({ method, path })
  })
  return routes
}

/** The methods that a path takes, as `Allow` names them; none where nothing is. What can be read can be asked for by HEAD. */
export const methodsAt = (routes: ReadonlyArray<Route>, path: string): ReadonlyArray<string> => {
  const methods = routes.filter((route) => isAt(route, path)).map(({ method }) => method)
  return Array.from(new Set(methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]))))
}

// ---------------------------------------------------------------------------------------------------------------------

const isAt = (route: Route, path: string): boolean => {
  const expected = route.path.split("/")
  const segments = path.split("/")
  return (
    expected.length === segments.length &&
    expected.every((segment, i) => (segment.startsWith(":") ? segments[i] !== "" : segment === segments[i]))
  )
}
