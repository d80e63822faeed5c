// Helpers with which a program says what a type must be. Nothing here runs: compiling is the test.

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only if both types are the same, optional marks and nulls included. */
export const same = <A, B>(_: Equal<A, B>): void => {};

/** The type of the rows that a query gives. */
export type Rows<Q extends PromiseLike<{ data: unknown }>> = NonNullable<Awaited<Q>['data']>;

/** Keys that may be left out. */
export type OptionalKeys<T> = { [K in keyof T]-?: {} extends Pick<T, K> ? K : never }[keyof T];
